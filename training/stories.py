"""Our own text for the miniature language models: children's stories, questions and small talk.

Everything is made from a compositional grammar (`plots`) and word lists (`words`) with a seeded
`random.Random`: the same seed gives the same text. `python stories.py --seed 1 --count 3` shows it.
"""

import argparse
import random
import re
from collections.abc import Iterator
from typing import NamedTuple

import plots
import words

Turn = dict[str, str]
_CHOICE = re.compile(r"\[([^\[\]]*)\]")
_ARTICLE = re.compile(r"\b([Aa]) (?=[aeiou]|honest)")
_SENTENCE = re.compile(r"(^|[.!?] |\.\" |(?:^| )\")([a-z])")


class Story(NamedTuple):
    """A story with the facts it was made from and the (question, answer) pairs they settle."""

    text: str
    facts: dict[str, str]
    questions: tuple[tuple[str, str], ...]


def expand(rng: random.Random, template: str) -> str:
    """The template with each `[a|b]` replaced by one alternative, the innermost first."""
    while "[" in template:
        template = _CHOICE.sub(lambda found: rng.choice(found[1].split("|")), template)
    return template


def polish(text: str) -> str:
    """The text with single spaces, "an" before vowels and capitals where sentences begin."""
    text = _ARTICLE.sub(r"\1n ", " ".join(text.split()))
    return _SENTENCE.sub(lambda found: found[1] + found[2].upper(), text)


def pick_other(rng: random.Random, choices: tuple[str, ...] | list[str], *taken: str) -> str:
    """One of the choices that is none of the taken ones."""
    return rng.choice([choice for choice in choices if choice not in taken])


def pronouns(she: bool, prefix: str = "") -> dict[str, str]:
    """The pronoun slots of a female or male figure."""
    forms = ("she", "her", "her") if she else ("he", "him", "his")
    return dict(zip((prefix + "he", prefix + "him", prefix + "his"), forms, strict=True))


def make_hero(rng: random.Random, kind: str | None) -> dict[str, str]:
    """A child or an animal (of the given kind, if any) with name, pronouns and trait."""
    she = kind == "girl" if kind in ("girl", "boy") else rng.random() < 0.5
    if kind is None:
        kind = rng.choice(words.ANIMALS) if rng.random() < 0.4 else ("girl" if she else "boy")
    if kind in ("girl", "boy"):
        names = words.GIRLS if she else words.BOYS
    else:
        names = words.ANIMAL_GIRLS if she else words.ANIMAL_BOYS
    hero = {"name": rng.choice(names), "kind": kind, "trait": rng.choice(words.TRAITS)}
    return hero | pronouns(she)


def make_helper(rng: random.Random, hero: dict[str, str]) -> dict[str, str]:
    """Someone who helps the hero: a friend, a grown-up or an animal."""
    roll = rng.random()
    she = rng.random() < 0.5
    animal = hero["kind"] not in ("girl", "boy")
    if roll < 0.3:
        kind = pick_other(rng, words.OLD_ANIMALS, hero["kind"])
        word = rng.choice(("an old", "a wise", "a friendly", "a big"))
        helper = {"friend": f"the {kind}", "fintro": f"{word} {kind}"}
    elif roll < 0.6 and not animal:
        friend = rng.choice(list(words.ADULTS))
        she = words.ADULTS[friend] == "she"
        helper = {"friend": friend, "fintro": friend}
    elif animal:
        friend = pick_other(rng, words.ANIMAL_GIRLS if she else words.ANIMAL_BOYS, hero["name"])
        kind = pick_other(rng, words.ANIMALS, hero["kind"])
        helper = {"friend": friend, "fintro": f"{friend} the {kind}"}
    else:
        friend = pick_other(rng, words.GIRLS if she else words.BOYS, hero["name"])
        helper = {"friend": friend, "fintro": f"{hero['his']} friend {friend}"}
    return helper | pronouns(she, "f")


def make_world(rng: random.Random, kind: str | None = None) -> dict[str, str]:
    """Everything a story may mention, chosen once, so that the story stays coherent."""
    world = make_hero(rng, kind)
    world |= make_helper(rng, world)
    home, place = rng.sample(words.PLACES, 2)
    spot, spot2 = rng.sample(words.SPOTS, 2)
    toy = rng.choice(list(words.BREAKABLE))
    parts = rng.choice((words.DISHES, words.PROJECTS))
    project = rng.choice(list(parts))
    lists = {
        "colour": words.COLOURS,
        "look": words.LOOKS,
        "bad": words.BAD_FEELINGS,
        "good": words.GOOD_FEELINGS,
        "weather": words.WEATHER,
        "obj": words.TOYS,
        "tool": words.TOOLS,
        "food": words.SNACKS,
        "high": words.HIGH_SPOTS,
        "shelter": words.SHELTERS,
        "gift": words.GIFTS,
        "game": words.GAMES,
        "noise": words.NOISES,
        "nightspot": words.NIGHT_SPOTS,
    }
    world |= {slot: rng.choice(choices) for slot, choices in lists.items()}
    world |= {
        "home": home,
        "place": place,
        "spot": spot,
        "spot2": spot2,
        "toy": toy,
        "part": words.BREAKABLE[toy],
        "project": project,
        "needs": rng.choice(parts[project]),
        "tiny": pick_other(rng, words.TINY_ANIMALS, world["kind"], world["fintro"].split()[-1]),
    }
    return world


def make_story(rng: random.Random, kind: str | None = None, plot: str | None = None) -> Story:
    """One story, about a hero of the given kind and with the given plot where they are given."""
    world = make_world(rng, kind)
    world["plot"] = plot or rng.choice(list(plots.PLOTS))
    body, own_questions = plots.PLOTS[world["plot"]]
    singular = world["needs"].startswith("a ") or not world["needs"].endswith("s")
    verb = "was" if singular and world["needs"] != "planks" else "were"
    questions = [*own_questions, *plots.COMMON[:1], plots.COMMON[2]]
    parts = [rng.choice(plots.OPENINGS)]
    if rng.random() < 0.4:
        parts.append(plots.HOBBIES)
    if rng.random() < 0.5 and world["plot"] not in ("noise", "rain"):
        parts.append(rng.choice(plots.WEATHER))
        questions.append(("What was the weather like?", "It was {weather}."))
    if plots.WENT in body:
        questions.append(plots.COMMON[3])
    if world["plot"] not in ("gift", "share", "make"):
        questions.append(plots.COMMON[1])
    parts += [body, rng.choice(plots.ENDINGS)]
    if rng.random() < 0.5:
        parts.append(" " + rng.choice(plots.MORALS))

    def fill(template: str) -> str:
        template = template.replace("[was|were]", verb)
        return polish(expand(rng, template).format_map(world))

    text = fill("".join(parts))
    return Story(text, world, tuple((fill(ask), fill(answer)) for ask, answer in questions))


def story_request(rng: random.Random) -> list[Turn]:
    """A request for a story, and the story."""
    asks = expand(rng, "[Tell me|Write|Please tell me|Can you tell me] a [short |little |]story")
    end = "?" if asks.startswith("Can") else "."
    roll = rng.random()
    if roll < 0.25:
        return chat((asks + end, make_story(rng).text))
    if roll < 0.6:
        kind = rng.choice(words.ANIMALS)
        ask = polish(f"{asks} about a {kind}{end}")
        return chat((ask, make_story(rng, kind).text))
    story = make_story(rng, plot=rng.choice(("lost", "stuck", "share", "broken")))
    thing = story.facts["toy" if story.facts["plot"] == "broken" else "obj"]
    about = rng.choice(
        (
            f"a {story.facts['kind']} named {story.facts['name']}",
            f"a {story.facts['colour']} {thing}",
            f"a {story.facts['kind']} and a {thing}",
        )
    )
    return chat((polish(f"{asks} about {about}{end}"), story.text))


def chat(*pairs: tuple[str, str]) -> list[Turn]:
    """The (question, answer) pairs as messages of a user and an assistant."""
    roles = ("user", "assistant")
    return [
        {"role": role, "content": content}
        for pair in pairs
        for role, content in zip(roles, pair, strict=True)
    ]


def small_talk(rng: random.Random) -> tuple[str, str]:
    """A stand-alone question of general knowledge or politeness, and its answer."""
    maker = rng.choice((talk_polite, talk_fact, talk_fact, talk_number, talk_list, talk_list))
    ask, answer = maker(rng)
    return polish(ask), polish(answer)


def talk_polite(rng: random.Random) -> tuple[str, str]:
    """Greetings, thanks and questions about the model itself."""
    return rng.choice(
        (
            (
                rng.choice(("Hello!", "Hello.", "Hi!", "Hi", "Hello", "Good morning!")),
                "Hello! How can I help you?",
            ),
            ("How are you?", "I am fine, thank you. How are you?"),
            (
                rng.choice(("What is your name?", "Who are you?")),
                "I am a very small language model. I can tell stories.",
            ),
            (
                rng.choice(("What can you do?", "Can you help me?")),
                "I can tell stories and answer easy questions.",
            ),
            (rng.choice(("Thank you!", "Thanks!", "Thank you.")), "You are welcome!"),
            (rng.choice(("Goodbye!", "Bye!", "Good night!")), "Goodbye! See you soon."),
        )
    )


def talk_fact(rng: random.Random) -> tuple[str, str]:
    """Colours, opposites, sounds, legs, homes and sizes."""
    topic = rng.randrange(6)
    if topic == 0:
        thing, colour = rng.choice(list(words.SKY_FACTS.items()))
        return f"What colour is {thing}?", f"{thing} is {colour}."
    if topic == 1:
        pair = rng.choice(words.OPPOSITES).split()
        rng.shuffle(pair)
        return f"What is the opposite of {pair[0]}?", f"The opposite of {pair[0]} is {pair[1]}."
    if topic == 2:
        animal, sound = rng.choice(list(words.SOUNDS.items()))
        return f"What does a {animal} say?", f"A {animal} says {sound}."
    if topic == 3:
        animal, legs = rng.choice(list(words.LEGS.items()))
        return f"How many legs does a {animal} have?", f"A {animal} has {legs} legs."
    if topic == 4:
        animal, home = rng.choice(list(words.HOMES.items()))
        return f"Where does a {animal} live?", f"A {animal} lives in {home}."
    low, high = sorted(rng.sample(range(len(words.BY_SIZE)), 2))
    small, big = words.BY_SIZE[low], words.BY_SIZE[high]
    first, second = rng.sample((small, big), 2)
    return f"Which is bigger, a {first} or a {second}?", f"A {big} is bigger than a {small}."


def talk_number(rng: random.Random) -> tuple[str, str]:
    """Counting, small sums, days and months."""
    names = words.NUMBERS
    topic = rng.randrange(5)
    if topic == 0:
        last = rng.randint(3, 10)
        return f"Count to {names[last]}.", ", ".join(names[1 : last + 1]).capitalize() + "."
    if topic == 1:
        number = rng.randint(1, 19)
        after = names[number + 1]
        return f"What comes after {names[number]}?", f"{after} comes after {names[number]}."
    if topic == 2:
        one, two = rng.randint(0, 10), rng.randint(0, 10)
        total = names[one + two]
        return (
            f"What is {names[one]} plus {names[two]}?",
            f"{names[one]} plus {names[two]} is {total}.",
        )
    calendar = words.DAYS if topic == 3 else words.MONTHS
    index = rng.randrange(len(calendar))
    after = calendar[(index + 1) % len(calendar)]
    return f"What comes after {calendar[index]}?", f"{after} comes after {calendar[index]}."


def talk_list(rng: random.Random) -> tuple[str, str]:
    """So many animals, colours, fruits, toys and the like."""
    group = rng.choice(list(words.GROUPS))
    count = rng.randint(2, 4)
    names = rng.sample(words.GROUPS[group].split("|"), count)
    return f"Name {words.NUMBERS[count]} {group}.", f"{', '.join(names[:-1])} and {names[-1]}."


def reading(rng: random.Random) -> list[Turn]:
    """A story given by the user, with several questions about it and their answers."""
    story = make_story(rng)
    pairs = rng.sample(story.questions, rng.randint(3, len(story.questions)))
    frame = rng.choice(
        (
            "{story}\n\n{ask}",
            "Read this story. {story}\n\n{ask}",
            "{story} {ask}",
            "Here is a story.\n\n{story}\n\n{ask}",
        )
    )
    first = (frame.format(story=story.text, ask=pairs[0][0]), pairs[0][1])
    return chat(first, *pairs[1:])


def vignette(rng: random.Random) -> list[Turn]:
    """A few unconnected facts about several figures, with questions: reading at its plainest."""
    facts: dict[str, tuple[str, str]] = {}
    for template, ask, answer in rng.sample(plots.FACTS, rng.randint(2, 6)):
        world = make_world(rng)
        told = polish(template.format_map(world))
        facts.setdefault(polish(ask.format_map(world)), (told, polish(answer.format_map(world))))
    text = " ".join(told for told, _ in facts.values())
    asked = rng.sample(list(facts), rng.randint(1, len(facts)))
    pairs = [(ask, facts[ask][1]) for ask in asked]
    separator = rng.choice((" ", "\n\n"))
    return chat((f"{text}{separator}{pairs[0][0]}", pairs[0][1]), *pairs[1:])


def conversation(rng: random.Random) -> list[Turn]:
    """A chat: about a given story, or a story on request, or small talk."""
    roll = rng.random()
    if roll < 0.35:
        turns = vignette(rng)
    elif roll < 0.7:
        turns = reading(rng)
    elif roll < 0.8:
        turns = story_request(rng)
    else:
        turns = chat(*(small_talk(rng) for _ in range(rng.randint(1, 4))))
    if rng.random() < 0.06:
        system = expand(rng, "You are a [kind|helpful|friendly] [teacher|assistant|friend].")
        turns.insert(0, {"role": "system", "content": system})
    return turns


def documents(seed: int) -> Iterator[str | list[Turn]]:
    """Training documents without end: stories separated by blank lines (text), and chats."""
    rng = random.Random(seed)
    while True:
        if rng.random() < 0.15:
            yield "\n\n".join(make_story(rng).text for _ in range(rng.randint(1, 4)))
        else:
            yield conversation(rng)


def main() -> None:
    """Print stories with their questions, for reading."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=3)
    parser.add_argument("--plain", action="store_true", help="the stories alone")
    options = parser.parse_args()
    rng = random.Random(options.seed)
    for _ in range(options.count):
        story = make_story(rng)
        pairs = () if options.plain else story.questions
        print(story.text, *(f"  {ask} {answer}" for ask, answer in pairs), "", sep="\n")


if __name__ == "__main__":
    main()
