"""The plots of the story generator, in a small template language.

`[a|b|c]` stands for one of its alternatives (nested at will, `[a|]` being an optional clause) and
`{slot}` for an entry of the story's world: the hero is `{name}`, `{he}`, `{him}`, `{his}`, the
helper `{friend}`, `{fhe}`, `{fhim}`, `{fhis}`. Articles ("a" or "an") and the capital letters that
begin sentences are put right afterwards; after a `?"` or `!"` the template says itself.
"""

from typing import NamedTuple


class Plot(NamedTuple):
    """The middle of a story, and the (question, answer) templates that its facts settle."""

    body: str
    questions: tuple[tuple[str, str], ...]


OPENINGS = (
    "[Once upon a time|Once upon a time|Long ago|Once], there [was|lived] a {trait} "
    "[little |young |]{kind} [named|called] {name}.[ {name} lived near {home}"
    "[ with {his} family|]. | ]",
    "{name} was a {trait} [little |young |]{kind}. [{he} lived [near|close to|not far from] {home}"
    "[ in a [small|cosy|tidy|tiny] house|]. |]",
    "[Near|Close to|Not far from] {home} there lived a {trait} [little |young |]{kind} "
    "[named|called] {name}. ",
)
HOBBIES = (
    "[{he}|{name}] [loved|liked] to [run and jump|sing songs|dance in the rain|look at the clouds|"
    "climb|swim|draw pictures|read books|pick flowers|play with {his} friends|count the stars|"
    "listen to stories|ride fast|watch the birds|help other people|tell jokes]"
    "[ every day| all day long| in the morning| after lunch|]. "
)
WEATHER = (
    "[One day|One morning|That day|One afternoon], the weather was {weather}. ",
    "It was a {weather} [day|morning|afternoon]. ",
    "The [day|morning|afternoon] was {weather}[ and [quiet|long|the birds were singing]|]. ",
)
WENT = (
    "{name} [went|walked|ran|hurried] to {place}[ with a [big|little] smile| all alone| "
    "after breakfast|]. "
)
ENDINGS = (
    "[In the end|At last|From then on|That [night|evening]|Now|After that], {name} felt {good}"
    "[ and [smiled|slept well|went home|laughed|sang a song|had sweet dreams]|].",
    "{name} [smiled|laughed|jumped for joy|clapped {his} hands] and felt {good}.",
    "{name} [went|walked|ran] home and felt {good}[ for the rest of the day| all evening|].",
)
MORALS = (
    "[{he}|{name}] [learned|knew now|understood] that [it is good to [share|help|ask for help|"
    "be kind|tell the truth|be patient|try again]|friends help each other|a kind word is "
    "[worth a lot|never lost]|good things take time|small friends can be a big help].",
    "[{he}|{name}] never forgot that [day|morning|kind deed].",
    "[{name} and {friend}|the two of them] [were best friends|stayed good friends] "
    "[from that day on|for a long time|all their lives].",
    "[They all lived happily ever after.|The end.]",
)
THANKS = (
    '[{name} was very thankful.|"[thank you|thank you so much|thanks a lot]," said {name}.'
    '|"You are [so kind|a good friend|very clever]!" said {name}.|{name} gave {friend} a '
    "[big |warm |]hug.] "
)
GREETS = (
    "[Just then|Soon|After a while|A little later], {fintro} [came along|came by|saw {him}]. "
    '"[What is wrong|Why are you so {bad}|What happened|Can I help you]?" asked {friend}. '
)

COMMON = (
    ("Who is the story about?", "The story is about {name}, a {trait} {kind}."),
    ("Who helped {name}?", "{friend} helped {name}."),
    ("How did {name} feel at the end?", "{name} felt {good}."),
    ("Where did {name} go?", "{name} went to {place}."),
)

FACTS = (
    ("{name} went to {place}.", "Where did {name} go?", "{name} went to {place}."),
    (
        "{name} had a {look} {colour} {obj}.",
        "What colour was the {obj}?",
        "The {obj} was {colour}.",
    ),
    ("{name} had a {colour} {obj}.", "Who had the {obj}?", "{name} had the {obj}."),
    ("{name} lost a {colour} {obj}.", "What did {name} lose?", "{name} lost a {colour} {obj}."),
    ("The {obj} was {spot}.", "Where was the {obj}?", "The {obj} was {spot}."),
    ("{name} felt {good}.", "How did {name} feel?", "{name} felt {good}."),
    ("{name} felt {bad}.", "How did {name} feel?", "{name} felt {bad}."),
    ("{name} was a {trait} {kind}.", "Who was {name}?", "{name} was a {trait} {kind}."),
    ("{name} ate a {food}.", "What did {name} eat?", "{name} ate a {food}."),
    ("{friend} helped {name}.", "Who helped {name}?", "{friend} helped {name}."),
    ("{name} saw a {tiny}.", "What did {name} see?", "{name} saw a {tiny}."),
    ("{name} played {game}.", "What did {name} play?", "{name} played {game}."),
)
"""Short facts, each with a question that it settles and the answer."""

PLOTS = {
    "lost": Plot(
        "{name} had a {look} {colour} {obj}. [{he} took it everywhere.|It was a [gift|present] "
        "from {his} [aunt|cousin|brother|sister].|{he} [loved|liked] it very much.|] "
        + WENT
        + "[There {he} played {game}.|{he} played there [for hours|all morning|until noon].|] "
        "[But then|Suddenly|When it was time to go home], the {obj} was gone! {name} felt {bad}. "
        "[{he} looked [here and there|up and down|everywhere], but {he} could not find it.|"
        "{he} sat down and [cried|sighed|thought hard].|] "
        + GREETS
        + '"[I lost my {obj}|My {obj} is gone|I cannot find my {obj}]," said {name}. '
        '["Do not [cry|worry]. |"][I will help you look for it|We will find it together|'
        'Let us look for it]," said {friend}. They looked [high and low|for a long time|all '
        "around]. [At last|Then|Soon], {friend} found the {obj} {spot}. " + THANKS,
        (
            ("What did {name} lose?", "{name} lost a {colour} {obj}."),
            ("What colour was the {obj}?", "The {obj} was {colour}."),
            ("Where was the {obj}?", "The {obj} was {spot}."),
            ("Who found the {obj}?", "{friend} found the {obj}."),
            ("Why was {name} {bad}?", "{name} was {bad} because {he} lost {his} {obj}."),
        ),
    ),
    "stuck": Plot(
        WENT + "[{he} took a {look} {colour} {obj} along.|In {his} bag {he} had a {colour} {obj}.|"
        "{he} wanted to play with {his} {colour} {obj}.] [{name} threw it up [high|into the air].|"
        "A strong wind came [up|along].|{name} was not careful.] [Oh dear!|Oh no!|] "
        "The {obj} [got|was] stuck on {high}. {name} felt {bad}. [{he} jumped and jumped, but {he} "
        "[was too small|could not reach it].|{he} tried [a long stick|to climb], but it did not "
        "work.|] "
        + GREETS
        + '"[My {obj} is stuck on {high}|I cannot reach my {obj}]," said {name}. '
        '"[I have an idea|Wait a moment|That is easy|I can get it]," said {friend}. {friend} '
        "[climbed up|got a long ladder|stood on a box|used a long stick] and [got|brought] the "
        "{obj} down. " + THANKS,
        (
            ("What got stuck?", "The {colour} {obj} got stuck."),
            ("Where did the {obj} get stuck?", "The {obj} got stuck on {high}."),
            ("What colour was the {obj}?", "The {obj} was {colour}."),
            ("Who got the {obj} down?", "{friend} got the {obj} down."),
            ("Why was {name} {bad}?", "{name} was {bad} because the {obj} was stuck."),
        ),
    ),
    "broken": Plot(
        "{name} had a {look} {colour} {toy}. " + WENT + "[{he} wanted to show it to everyone.|"
        "{he} played with it [all morning|for a while].|] [But {he} [fell over a stone|slipped on "
        "the wet ground|was too wild]|Then it [fell down|hit a rock]], and [crack|snap]! The "
        "{part} of the {toy} broke. {name} felt {bad}. [{he} [did not know what to do|began to cry|"
        'wanted to hide it].|"Now it is [no good|broken]," {he} [said|sighed|cried].|] '
        + GREETS
        + '"[My {toy} is broken|Look, the {part} is broken]," said {name}. "[We can mend it|I can '
        'fix that|It is not so bad]," said {friend}. {friend} fixed the {toy} with {tool}. '
        "[Soon it was as good as new.|It [worked again|looked even better than before].|] "
        + THANKS,
        (
            ("What broke?", "The {part} of the {toy} broke."),
            ("What colour was the {toy}?", "The {toy} was {colour}."),
            ("Who fixed the {toy}?", "{friend} fixed the {toy}."),
            ("How did {friend} fix the {toy}?", "{friend} fixed it with {tool}."),
            ("Why was {name} {bad}?", "{name} was {bad} because {his} {toy} broke."),
        ),
    ),
    "make": Plot(
        "{name} had a wish. {he} wanted to make a {project}[ for {his} family| all by {him}self|"
        " before dinner|]. [{he} had [almost everything|most things] ready.|{he} worked hard[ all "
        "morning|].|] [But|Then {he} saw that] {needs} [was|were] missing. {name} felt {bad}. "
        + WENT
        + "[{he} asked everyone.|{he} looked [left and right|everywhere].|] [There|At last] "
        '{he} met {fintro}. "[What are you looking for|Why are you {bad}|What do you need]?" asked '
        '{friend}. "[I need {needs}|I want to make a {project}, but I have no {needs}]," said '
        '{name}. "[I have plenty|You can have some of mine|Here, take this]," said {friend} and '
        "gave {him} {needs}. " + THANKS + "[Then|After that] {name} [finished|made] the {project}. "
        "It was [wonderful|very good|the best in the whole [village|land]]. ",
        (
            ("What did {name} want to make?", "{name} wanted to make a {project}."),
            ("What was missing?", "{needs} [was|were] missing."),
            ("Who gave {name} {needs}?", "{friend} gave {him} {needs}."),
            ("What did {friend} give {name}?", "{friend} gave {him} {needs}."),
            ("Why was {name} {bad}?", "{name} was {bad} because {needs} [was|were] missing."),
        ),
    ),
    "noise": Plot(
        "One night, {name} was in bed. [The moon was [bright|full].|The house was [dark|quiet].|"
        "{he} could not sleep.] Suddenly {he} heard a noise. {noise}, {noise}, {noise}! It came "
        "from {nightspot}. {name} felt {bad}. [{he} hid under the blanket.|{he} held {his} breath.|"
        '"Who is there?" {he} [whispered|asked], but nobody answered.|] [So|Then] {he} called '
        '{fintro}. "[Let us look together|Do not be afraid|I am here]," said {friend}. {friend} '
        "[took|lit] a [lamp|candle|lantern] and looked {nightspot}. It was [only|just] a {tiny}! "
        "[The {tiny} was [cold|hungry|lost|more afraid than {name}].|] "
        "[{name} gave it a {food}.|{name} gave it a {food} and [a warm bed|some water].] "
        "The {tiny} [went to sleep|looked at {him} with big eyes|was not afraid any more]. ",
        (
            ("What did {name} hear?", "{name} heard a noise."),
            ("Where did the noise come from?", "The noise came from {nightspot}."),
            ("Who made the noise?", "A {tiny} made the noise."),
            ("What did {name} give the {tiny}?", "{name} gave it a {food}."),
            ("How did {name} feel in the night?", "{name} felt {bad}."),
        ),
    ),
    "rain": Plot(
        WENT + "[{he} wanted to pick [flowers|berries|mushrooms].|{he} wanted to visit {his} "
        "[cousin|aunt].|{he} looked at the [trees|birds|boats].] [Suddenly|But soon|Then] "
        "[big|dark|black] clouds came and it began to [rain|snow]. {name} [was all wet|was cold|"
        "had no coat]. {he} felt {bad}. [The wind blew and blew.|There was thunder, too.|] "
        + GREETS
        + '"[I am [cold|wet|lost]|I want to go home|I have no umbrella]," said {name}. '
        '"[Come with me|Follow me|I know a dry place]," said {friend}. {friend} took {him} to '
        "{shelter}. There they [ate|shared] a {food}[ and told [stories|jokes]| and sang songs|]. "
        "[When the sun came out|After the storm|Later], {friend} showed {him} the way home. "
        + THANKS,
        (
            ("Where did {friend} take {name}?", "{friend} took {him} to {shelter}."),
            ("What did they eat?", "They ate a {food}."),
            ("Who showed {name} the way home?", "{friend} showed {him} the way home."),
            ("How did {name} feel in the bad weather?", "{name} felt {bad}."),
        ),
    ),
    "hungry": Plot(
        WENT + "[There|On the way|{spot}], {he} saw a [tiny|little|small] {tiny}. It was all alone "
        "and [very |]hungry. {name} felt [sorry|sad][ for the {tiny}| when {he} saw it|]. {he} had "
        "only one {food} in {his} [bag|pocket|basket]. [{he} was hungry, too, but|{he} thought for "
        "a moment, and then] {he} gave the {food} to the {tiny}. The {tiny} ate [it all up|every "
        'bit|quickly]. [Then|Soon] {fintro} came along. "[Can you help us|Where is its mother]?" '
        'asked {name}. "[Its mother is|I have seen its mother] {spot2}," said {friend}. '
        "[So |]they took the {tiny} to its mother. The mother was [so |very |]"
        "[happy|glad|thankful]. "
        '"[You have a good heart|You are a kind {kind}]," said {friend} to {name}. ',
        (
            ("What did {name} see?", "{name} saw a {tiny}."),
            ("What did {name} give to the {tiny}?", "{name} gave it a {food}."),
            ("Where was the mother?", "The mother was {spot2}."),
            ("Who knew where the mother was?", "{friend} knew where the mother was."),
            ("Why did {name} give away the {food}?", "Because the {tiny} was hungry."),
        ),
    ),
    "gift": Plot(
        "It was the birthday of {fintro}. {name} had no gift, and {he} felt {bad}. [{he} had no "
        "money.|The shops were closed.|{he} had forgotten the day.|] " + WENT + "[There {he} sat "
        "down and thought.|{he} looked around for something [nice|special].|] [Then {he} had an "
        "idea.|Suddenly {he} knew what to do.] {he} made {gift}. [It took a long time.|{he} worked "
        "with great care.|It was {colour} and very pretty.|] [In the evening|After lunch|Later], "
        "{name} went to the party. [There were [games|music and cake|many guests].|] "
        '"[Happy birthday|This is for you]," said {name}. {friend} [opened {fhis} eyes wide|'
        'smiled|laughed]. "[It is the best gift of all|I love it|How lovely]," said {friend}. '
        "Then they played {game} and ate a {food}. ",
        (
            ("Whose birthday was it?", "It was the birthday of {friend}."),
            ("What did {name} make?", "{name} made {gift}."),
            ("What did they play?", "They played {game}."),
            ("What did they eat?", "They ate a {food}."),
            ("Why was {name} {bad}?", "{name} was {bad} because {he} had no gift."),
        ),
    ),
    "share": Plot(
        WENT + "[{he} had a {food} for lunch.|In {his} bag there was a {food}.] [There {he} saw|"
        "On a bench sat] {fintro}. {friend} had a {look} {colour} {obj}. {name} wanted to play "
        'with the {obj}. "[Give it to me|I want it]!" said {name} and pulled. "[No, it is mine|'
        'Stop|That is not nice]!" said {friend}. {name} felt {bad}. [{he} sat down {spot}.|Nobody '
        'spoke for a while.|{he} walked away.|] [Then|After a while] {he} came back. "[I am '
        'sorry|That was wrong of me]," said {name}. "[Do you want half of my {food}|Shall we '
        'share my {food}]?" [Now|Then] {friend} [smiled|nodded]. "[Yes, please|That is kind], and '
        'you can play with my {obj}," said {friend}. So they shared the {food} and played {game}. ',
        (
            ("What did {friend} have?", "{friend} had a {colour} {obj}."),
            ("What did {name} want to play with?", "{name} wanted to play with the {obj}."),
            ("What did they share?", "They shared a {food}."),
            ("What did they play?", "They played {game}."),
            ("What colour was the {obj}?", "The {obj} was {colour}."),
        ),
    ),
}
