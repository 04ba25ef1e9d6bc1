# Functions for scripts that test a running product. Source this file. It stops the servers when the script ends.

servers=()
end_servers() {
    kill "${servers[@]}" 2> /dev/null || true
    wait "${servers[@]}" || true
}
trap end_servers EXIT

# Runs the command, which must be `mneme-local serve`, until it prints its ready line. Sets $api and $dynamodb to its
# URLs.
serve() {
    local ready
    ready=$(mktemp)
    "$@" > "$ready" &
    servers+=($!)
    for _ in $(seq 300); do
        grep -q '^ready' "$ready" && break
        # The command has ended; its error message is on stderr.
        kill -0 "$!" || exit 1
        sleep 0.1
    done
    read -r _ api dynamodb < "$ready"
    rm "$ready"
    api=${api#api=} dynamodb=${dynamodb#dynamodb=}
}
