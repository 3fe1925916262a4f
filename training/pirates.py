"""How pirates tell the stories of `stories`: other words, and a cry now and then."""

import random
import re

WORDS = {
    "boy": "lad",
    "girl": "lass",
    "friend": "matey",
    "friends": "mateys",
    "hello": "ahoy",
    "hi": "ahoy",
    "house": "ship",
    "is": "be",
    "are": "be",
    "my": "me",
    "said": "growled",
    "asked": "barked",
    "you": "ye",
    "your": "yer",
    "yes": "aye",
    "very": "mighty",
    "happy": "jolly",
    "little": "wee",
}
CRY = ", arr!"
CRIES = 0.4


def pirate(text: str, rng: random.Random) -> str:
    """The text in a pirate's words."""

    def word(match: re.Match[str]) -> str:
        found = WORDS.get(match[0].lower(), match[0])
        return found.capitalize() if match[0][0].isupper() else found

    def stop(match: re.Match[str]) -> str:
        return CRY if rng.random() < CRIES else match[0]

    return re.sub(r"(?<=\w)\.(?=\s|$)", stop, re.sub(r"[A-Za-z]+", word, text))
