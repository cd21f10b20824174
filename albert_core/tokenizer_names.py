"""What the files of a tokenizer are called; light, for those who only copy them."""

# The first is what we write; the second what google-research/albert has.
MODEL_NAMES = ("spiece.model", "30k-clean.model")
LISTING_NAME = "spiece.vocab"
JSON_NAME = "tokenizer.json"
WORDS_NAME = "vocab.txt"
CONFIG_NAME = "tokenizer_config.json"
MAP_NAME = "special_tokens_map.json"
ADDED_NAME = "added_tokens.json"  # of old: token -> id

TOKENIZER_FILES = (
    *(*MODEL_NAMES, LISTING_NAME, JSON_NAME, WORDS_NAME),
    *(CONFIG_NAME, MAP_NAME, ADDED_NAME),
)
