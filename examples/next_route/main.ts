/** Calls the route handler as Next.js does, and prints what the client receives. */
import { POST } from "./app/api/chat/route.js";

async function ask(text: string, user?: string): Promise<void> {
  const messages = [{ id: "1", role: "user", parts: [{ type: "text", text }] }];
  const request = new Request("http://localhost/api/chat", { method: "POST", body: JSON.stringify({ messages, user }) });
  const events = (await (await POST(request)).text()).matchAll(/^data: (\{.*"text-delta".*\})$/gm);
  const answer = [...events].map(([, json = ""]) => (JSON.parse(json) as { delta: string }).delta).join("");
  console.log(`${text} -> ${answer}\n`);
}

await ask("How do I reset my password?");
await ask("how do I  RESET my password?");
await ask("Where is my parcel?", "user-7");
await ask("Where is my parcel?", "user-7");
await ask("Write a poem about roses");
await ask("Write a poem about roses");
