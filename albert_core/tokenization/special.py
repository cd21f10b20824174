"""The special tokens by their roles, as attributes of a tokenizer."""

from typing import Any, cast, overload

from tokenizers import AddedToken

from albert_core.errors import TokenizerError, shown

ROLES = (
    "bos_token",
    "eos_token",
    "unk_token",
    "sep_token",
    "pad_token",
    "cls_token",
    "mask_token",
)
ADDITIONAL = "additional_special_tokens"


class Role:
    """An attribute that holds a special token as text, or None."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, instance: None, owner: type) -> "Role": ...
    @overload
    def __get__(self, instance: Any, owner: type) -> str | None: ...

    def __get__(self, instance: Any, owner: type) -> "Role | str | None":
        if instance is None:
            return self
        token: AddedToken | None = instance.roles[self.name]
        return None if token is None else token.content

    def __set__(self, instance: Any, value: object) -> None:
        instance.set_role(self.name, value)


class RoleId:
    """The id of a special token, or None; `mask_token_id` for `mask_token`."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.role = name.removesuffix("_id")

    @overload
    def __get__(self, instance: None, owner: type) -> "RoleId": ...
    @overload
    def __get__(self, instance: Any, owner: type) -> int | None: ...

    def __get__(self, instance: Any, owner: type) -> "RoleId | int | None":
        if instance is None:
            return self
        token: AddedToken | None = instance.roles[self.role]
        return None if token is None else instance.vocabulary.to_id(token.content)

    def __set__(self, instance: Any, value: int | None) -> None:
        token = None if value is None else instance.vocabulary.to_token(value)
        instance.set_role(self.role, token)


def as_token(value: object, role: str) -> AddedToken:
    """A special token from what a user or a file gives for it.

    Args:
        value: Text, an `AddedToken`, or the dictionary that files hold.
        role: What it is for; the mask takes the space before it.

    Raises:
        TokenizerError: It is something else, or empty.
    """
    given = cast(Any, value)
    if isinstance(value, AddedToken):
        return value
    if isinstance(value, str) and value:
        return AddedToken(
            value, lstrip=role == "mask_token", normalized=False, special=True
        )
    if isinstance(value, dict):
        fields: dict[str, Any] = dict(given)
        for key in ("__type", "id"):
            fields.pop(key, None)
        fields.setdefault("special", True)
        content = fields.pop("content", None)
        known = {"lstrip", "rstrip", "single_word", "normalized", "special"}
        flags = all(isinstance(v, bool) for v in fields.values())
        if isinstance(content, str) and content and flags and fields.keys() <= known:
            return AddedToken(content, **fields)
    raise TokenizerError(
        f"{role}={shown(given)} is not a token. Give text, an AddedToken, or a "
        f"dictionary with 'content', 'lstrip', 'rstrip', 'single_word', 'normalized'."
    )
