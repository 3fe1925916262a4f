"""Word lists of the story generator: names, animals, places, things, feelings and small facts."""


def words_in(text: str) -> list[str]:
    """The words written with spaces between."""
    return text.split()


def phrases_in(text: str) -> list[str]:
    """The phrases written with bars between."""
    return text.split("|")


def table(text: str) -> dict[str, str]:
    """The dictionary written as "key: value, key: value"."""
    return dict(entry.split(": ") for entry in text.split(", "))


GIRLS = words_in(
    "Mia Lily Anna Emma Sara Nora Ella Ruby Zoe Clara Ivy Rosa Lucy Maya Daisy Hana Eva Tess "
    "Molly Alice Nina Kate Amy Grace June Leila Bella Dora Pia Olga"
)
BOYS = words_in(
    "Tom Ben Max Sam Leo Jack Tim Finn Oscar Hugo Noah Adam Luca Omar Theo Peter Paul Felix "
    "Jonas Eric Dan Milo Ali Henry Simon Ravi Kofi Ned Carl Ivan"
)
ANIMALS = words_in(
    "fox rabbit bear mouse cat dog duck frog owl hen pig goat lamb pony squirrel hedgehog turtle "
    "beaver badger deer donkey monkey elephant lion tiger otter mole swan goose penguin"
)
ANIMAL_GIRLS = words_in(
    "Poppy Honey Fluffy Pearl Snowy Willow Hazel Dotty Mimi Coco Berry Tilly Cloudy Peachy Lulu"
)
ANIMAL_BOYS = words_in(
    "Rusty Bobo Pip Bruno Sandy Puff Toffee Max Scout Buddy Biscuit Pepper Teddy Rocky Ziggy"
)
OLD_ANIMALS = words_in(
    "owl turtle bear horse crow goat elephant badger cow stork beaver donkey whale hedgehog"
)
TINY_ANIMALS = words_in(
    "kitten puppy bird mouse duckling bunny frog squirrel hedgehog chick lamb owl bat snail"
)
ADULTS = table(
    "Grandma: she, Grandpa: he, Mum: she, Dad: he, Aunt Rose: she, Uncle Joe: he, Aunt Betty: "
    "she, Uncle Fred: he, Mrs. Brown: she, Mr. Green: he, the teacher: she, the baker: he, the "
    "farmer: he, the nurse: she, the postman: he, the gardener: she"
)

COLOURS = words_in("red blue green yellow pink purple orange white black brown silver golden grey")
LOOKS = words_in("shiny soft pretty lovely fine beautiful old new smooth special nice funny")
TRAITS = words_in(
    "kind brave clever cheerful curious gentle quiet shy funny friendly playful busy polite "
    "careful sleepy bright lively patient honest careless"
)
BAD_FEELINGS = words_in("sad upset worried unhappy lonely scared angry nervous")
GOOD_FEELINGS = words_in(
    "happy proud glad thankful cheerful calm excited joyful merry relieved delighted safe"
)
WEATHER = words_in("sunny warm windy cloudy cold rainy snowy foggy bright hot cool stormy")

TOYS = words_in(
    "ball kite doll drum boat hat scarf ring key book bell cup basket balloon button necklace "
    "puppet whistle marble mask bag coin flute robot train car shell stone feather crown blanket "
    "mirror flag bucket lantern"
)
BREAKABLE = table(
    "kite: wing, doll: arm, drum: skin, boat: sail, train: wheel, car: wheel, robot: leg, basket: "
    "handle, puppet: string, chair: leg, bike: chain, wagon: wheel, clock: hand, umbrella: "
    "handle, cart: wheel, bucket: handle, lamp: switch, guitar: string"
)
TOOLS = phrases_in(
    "glue|tape|some string|a needle and thread|a hammer|a piece of wood|a piece of wire|"
    "a screwdriver|a bit of rope|a strong nail|wax|a ribbon"
)
SNACKS = phrases_in(
    "carrot|apple|biscuit|cherry|pancake|berry|sandwich|pear|muffin|plum|nut|piece of cheese|"
    "piece of bread|slice of cake|bowl of soup|bun|bowl of rice|banana|peach|tomato"
)
DISHES = {
    "cake": ("eggs", "flour", "sugar", "butter"),
    "soup": ("carrots", "beans", "salt", "onions"),
    "pie": ("apples", "cherries", "plums", "berries"),
    "salad": ("tomatoes", "lettuce", "cucumbers", "oil"),
    "pizza": ("cheese", "tomatoes", "mushrooms", "flour"),
    "bread": ("flour", "salt", "water", "yeast"),
    "jam": ("berries", "sugar", "peaches", "cherries"),
    "pudding": ("milk", "rice", "vanilla", "honey"),
}
PROJECTS = {
    "house of leaves": ("leaves", "sticks", "grass"),
    "snowman": ("buttons", "snow", "a carrot"),
    "tower": ("blocks", "bricks", "stones"),
    "sandcastle": ("shells", "sand", "a spade"),
    "raft": ("logs", "rope", "boards"),
    "bridge": ("planks", "stones", "rope"),
    "tree house": ("boards", "nails", "a ladder"),
    "paper lantern": ("paper", "paint", "a candle"),
    "bird house": ("boards", "nails", "paint"),
    "big nest": ("straw", "feathers", "twigs"),
}

PLACES = phrases_in(
    "the park|the forest|the beach|the garden|the farm|the market|the river|the lake|the meadow|"
    "the school|the village|the zoo|the hill|the playground|the pond|the library|the orchard|"
    "the field|the castle|the harbour|the valley|the old mill|the station|the museum"
)
SPOTS = phrases_in(
    "under a bush|behind a tree|under the bench|in the grass|behind a rock|in a hole|"
    "under the bridge|next to the gate|behind the door|in a puddle|under a leaf|near the well|"
    "behind the barn|beside the path|in a box|inside a hollow log|on the steps|under the table|"
    "between two stones|in a pile of hay|behind the wall|in a flower bed"
)
HIGH_SPOTS = phrases_in(
    "a tall tree|a high roof|a tall fence|an old tower|a high branch|a steep rock|a tall wall|"
    "a street lamp|a high shelf|a tall chimney"
)
SHELTERS = phrases_in(
    "a cave|a barn|a little hut|a hollow tree|a small shop|a tent|an old mill|a shed|"
    "a bus stop|a warm kitchen"
)
GIFTS = phrases_in(
    "a drawing|a card|a necklace of shells|a bunch of flowers|a song|a cake|a paper crown|"
    "a wooden boat|a woolly scarf|a poem|a picture frame|a bowl of berries|a jar of honey"
)
GAMES = phrases_in(
    "hide and seek|tag|catch|a guessing game|cards|football|chess|a jumping game|pirates|marbles"
)
NOISES = words_in("tap scratch squeak rustle thump bump hiss rattle")
NIGHT_SPOTS = phrases_in(
    "under the bed|behind the curtain|inside the cupboard|outside the window|behind the door|"
    "under the roof|below the stairs|under the table|inside a box|inside the chimney"
)

SKY_FACTS = table(
    "the sky: blue, grass: green, snow: white, the sun: yellow, a tomato: red, a banana: yellow, "
    "coal: black, milk: white, a carrot: orange, an elephant: grey, a cherry: red, a lemon: "
    "yellow, a leaf: green, chocolate: brown, a frog: green, a swan: white, a crow: black, a pig: "
    "pink"
)
OPPOSITES = phrases_in(
    "big small|hot cold|up down|happy sad|fast slow|old new|day night|open closed|wet dry|"
    "tall short|loud quiet|light dark|full empty|hard soft|early late|good bad|clean dirty|"
    "left right|high low|strong weak|rich poor|thick thin|near far|sweet sour|begin end|"
    "yes no|black white|in out|awake asleep|heavy light"
)
SOUNDS = table(
    "cow: moo, dog: woof, cat: meow, duck: quack, sheep: baa, pig: oink, mouse: squeak, lion: "
    "roar, frog: croak, owl: hoot, hen: cluck, bee: buzz, snake: hiss, donkey: hee-haw, goose: "
    "honk"
)
LEGS = table(
    "dog: four, cat: four, bird: two, duck: two, spider: eight, ant: six, cow: four, hen: two, "
    "bee: six, horse: four, owl: two, fox: four, snake: no, fish: no, frog: four, child: two"
)
HOMES = table(
    "bird: a nest, bee: a hive, fish: the water, bear: a cave, fox: a den, cow: a barn, dog: a "
    "kennel, spider: a web, rabbit: a burrow, lion: the wild, camel: the desert, frog: a pond, "
    "owl: a tree, penguin: the ice"
)
BY_SIZE = words_in("ant bee mouse frog hen cat fox sheep pig lion horse elephant whale")
NUMBERS = words_in(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen twenty"
)
DAYS = words_in("Monday Tuesday Wednesday Thursday Friday Saturday Sunday")
MONTHS = words_in(
    "January February March April May June July August September October November December"
)
GROUPS = {
    "animals": "a cat|a dog|a fox|a cow|a horse|a bear|a lion|a frog|a duck|a rabbit|an owl",
    "colours": "red|blue|green|yellow|pink|orange|purple|white|black|brown",
    "fruits": "an apple|a pear|a plum|a banana|a cherry|a peach|a lemon|an orange",
    "toys": "a ball|a doll|a kite|a drum|a train|a car|a robot|a puppet",
    "numbers": "one|two|three|four|five|six|seven|eight|nine|ten",
    "birds": "a duck|an owl|a hen|a swan|a crow|a goose|a stork|a penguin",
    "foods": "bread|cheese|soup|rice|cake|butter|eggs|honey|jam",
    "days": "|".join(DAYS),
}
