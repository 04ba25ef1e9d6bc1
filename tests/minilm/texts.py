"""Texts to embed: of every relevant length, in many scripts, and with cases that are hard for tokenizers."""

import random

# Words of many scripts: with composed and combining accents, with case changes that change the length, and without
# spaces.
WORDS = """
how do I reset my password the quick brown fox jumps over a lazy dog where is order refund policy invoice quantum
photosynthesis antidisestablishmentarianism don't can't e-mail C++ x86_64 3.14159 $99.99 50% #42 user@example.com
café naïve Zürich Straße façade crème brûlée piñata coöperate Ångström İstanbul ISTANBUL ısı Łódź őrült šťáva
cafe\u0301 nai\u0308ve o\u0302\u0323 việt nam tiếng thành phố Σίσυφος ΟΔΥΣΣΕΥΣ ὕδωρ Ἀθῆναι привет мир ёлка Йод ЗДРАВСТВУЙТЕ
שלום עולם שָׁלוֹם مرحبا بالعالم مَرْحَبًا سلام دنیا नमस्ते दुनिया বাংলা தமிழ் తెలుగు ಕನ್ನಡ മലയാളം ไทย สวัสดี ລາວ မြန်မာ ქართული հայերեն አማርኛ
日本語 こんにちは カタカナ が か\u3099 ｶﾞ 東京都 你好 世界 機械學習 机器学习 안녕하세요 세계 한글 \u1112\u1161\u11ab 𠀀 𝒳 ﬁnance ½ ² Ⅷ ℃ № ™ €5 ¥100
😀 👩‍👩‍👧 🇩🇪 👍🏽 ❤️ … — “quoted” «guillemets» 。 、 ？ ！ （x） x\u00ady soft\u200bbreak zero\u200cwidth rtl\u200fmark bom\ufeff
""".split()

HARD = [
    "",
    " ",
    "\t\n\r ",
    "\0",
    "\u200b\u200d\ufeff",
    "\u0301",
    "\ufffd",
    "\x07bell\x1b[0m",
    "a\0b\ufffdc",
    "line one\nline two\r\nline three\ttabbed",
    "no\u00a0break em\u2003space ideographic\u3000space line\u2028separator next\u0085line",
    "[CLS]",
    "[SEP] [PAD] [MASK] [UNK]",
    "what does [MASK] mean?",
    "[cls] [ MASK ] [MASK",
    "a[SEP]b",
    "##ing ## #",
    "don't   stop",
    "!!!???...",
    "a" * 99,
    "a" * 100,
    "a" * 101,
    "é" * 100,
    "é" * 101,
    "e\u0301" * 100,
    "e\u0301" * 101,
    "日" * 150,
    "한" * 34,
    "한" * 33,
    "x" * 5000,
    "ﷺ ﷽",
    "İ" * 60,
    "\U0001d54f \U0010ffff \ue000 \U000e0041",
    "e" + "\u0301\u0323\u0302" * 30,
    "ǅ ǆ Ǆ ŉ ẞ ﬃ",
    "١٢٣ १२३ 一二三 Ⅳ ①",
    "مرحبا، كيف يمكنني إعادة تعيين كلمة المرور؟",
    "パスワードをリセットするにはどうすればいいですか？",
    "如何重置我的密码？",
    "비밀번호를 어떻게 재설정하나요?",
    "Πώς μπορώ να επαναφέρω τον κωδικό μου;",
    "Как мне сбросить пароль?",
    "मैं अपना पासवर्ड कैसे रीसेट करूँ?",
    "ฉันจะรีเซ็ตรหัสผ่านได้อย่างไร",
]

# Lengths near the model's limit of 254 word pieces and two special tokens, and far above it.
BEYOND = [252, 253, 254, 255, 256, 257, 300, 511, 600, 3000]


def texts(length):
    """All texts. `length(text)` returns the number of its word pieces, without the two special tokens."""
    draw = random.Random(0)
    found = list(HARD)
    # With the special tokens these are all lengths from 3 to 128.
    for pieces in [*range(1, 127), *BEYOND]:
        words, has = [], 0
        while has < pieces:
            word = draw.choice(WORDS)
            more = length(word)
            if has + more <= pieces:
                words.append(word)
                has += more
            elif draw.random() < 0.2:
                words.append("a")
                has += 1
        found.append(" ".join(words))
    while len(found) < 220:
        found.append(" ".join(draw.choices(WORDS, k=draw.randint(1, 40))))
    return found


def sweep(step=64):
    """Yields texts that together contain every Unicode character, `step` characters per text."""
    characters = [chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000]
    for start in range(0, len(characters), step):
        yield " ".join(f"a{c}b {c}" for c in characters[start : start + step])
