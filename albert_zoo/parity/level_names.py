"""The levels of a proof; light, for those who only name them."""

# Level -> what it compares.
LEVELS = {
    "bytes": "every weight, bit by bit, as the framework holds it after loading",
    "config": "every field of the configuration",
    "tokens": "the token ids of slow and fast tokenizer",
    "free": "all outputs of the model, each layer fed by the one before",
    "packed": "the outputs at all tokens, on the fast paths, which leave padding out",
    "forced": "every call of a part of the model, fed what the reference had there",
    "loss": "the loss",
    "gradients": "the gradient of every parameter",
}
