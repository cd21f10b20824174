"""Damaged files for tests of readers."""

import hypothesis
import hypothesis.strategies as st

FUZZ = hypothesis.settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)


@st.composite
def changed(draw, good):
    """Good bytes with one to three changes."""
    content = bytearray(good)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(content)))
        end = at + draw(st.integers(0, 20))
        match draw(st.sampled_from(["flip", "cut", "insert", "repeat", "end"])):
            case "flip" if at < len(content):
                content[at] ^= 1 << draw(st.integers(0, 7))
            case "cut":
                del content[at:end]
            case "insert":
                content[at:at] = draw(st.binary(max_size=8))
            case "repeat":
                content[at:at] = content[at:end] * draw(st.integers(1, 50))
            case _:
                del content[max(at, 1) :]
    return bytes(content)
