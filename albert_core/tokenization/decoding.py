"""Special tokens, and the way back from ids to text."""

from collections.abc import Iterable, Sequence
from typing import Any, cast

import numpy as np
from tokenizers import AddedToken

from albert_core.errors import TokenizerError, shown
from albert_core.tokenization.segmenter import Segmenter
from albert_core.tokenization.special import ADDITIONAL, ROLES, Role, RoleId, as_token
from albert_core.tokenization.vocabulary import Vocabulary

# What comes before these has no space, in English.
CLEANED = (
    (" .", "."),
    (" ?", "?"),
    (" !", "!"),
    (" ,", ","),
    (" ' ", "'"),
    (" n't", "n't"),
    (" 'm", "'m"),
    (" 's", "'s"),
    (" 've", "'ve"),
    (" 're", "'re"),
)


class Decoding:
    """The vocabulary of a tokenizer: its special tokens, tokens, ids and texts.

    Args:
        segmenter: Cuts text into pieces.
        do_lower_case: Whether text is lower-cased before it is split at added tokens.
    """

    bos_token, bos_token_id = Role(), RoleId()
    eos_token, eos_token_id = Role(), RoleId()
    unk_token, unk_token_id = Role(), RoleId()
    sep_token, sep_token_id = Role(), RoleId()
    pad_token, pad_token_id = Role(), RoleId()
    cls_token, cls_token_id = Role(), RoleId()
    mask_token, mask_token_id = Role(), RoleId()

    def __init__(self, segmenter: Segmenter, do_lower_case: bool) -> None:
        self.vocabulary = Vocabulary(segmenter, do_lower_case)
        self.roles: dict[str, AddedToken | None] = dict.fromkeys(ROLES)
        self._additional: list[AddedToken] = []
        self.clean_up_tokenization_spaces = False

    def _start(
        self, roles: dict[str, Any], added: dict[int, Any], additional: Sequence[Any]
    ) -> None:
        """Set all tokens; special ones that are not in the vocabulary go to its end."""
        self.roles = {
            role: None if token is None else as_token(token, role)
            for role, token in roles.items()
        }
        self._additional = [as_token(token, ADDITIONAL) for token in additional]
        for index, token in added.items():
            self.vocabulary.put(int(index), as_token(token, f"added token {index}"))
        self._refresh()
        for token in self.all_special_tokens_extended:
            if token.content not in self.get_added_vocab():
                self.vocabulary.add(token)

    def _refresh(self) -> None:
        self.vocabulary.refresh(self.all_special_tokens)
        self._edges = self.cls_token_id, self.sep_token_id

    def set_role(self, role: str, value: object) -> None:
        """Set a special token; the vocabulary does not grow by it."""
        self.roles[role] = None if value is None else as_token(value, role)
        self._refresh()

    @property
    def additional_special_tokens(self) -> list[str]:
        """Special tokens without a role."""
        return [token.content for token in self._additional]

    @property
    def additional_special_tokens_ids(self) -> list[int]:
        """Their ids."""
        return [self.vocabulary.to_id(t) for t in self.additional_special_tokens]

    @property
    def special_tokens_map_extended(self) -> dict[str, Any]:
        """The special tokens by role, with their rules."""
        roles = {role: token for role, token in self.roles.items() if token is not None}
        return roles | ({ADDITIONAL: self._additional} if self._additional else {})

    @property
    def special_tokens_map(self) -> dict[str, Any]:
        """The special tokens by role, as text."""
        roles = {r: t.content for r, t in self.roles.items() if t is not None}
        more = self.additional_special_tokens
        return roles | ({ADDITIONAL: more} if more else {})

    @property
    def all_special_tokens_extended(self) -> list[AddedToken]:
        """All special tokens, each once, with their rules."""
        found: dict[str, AddedToken] = {}
        for token in (*self.roles.values(), *self._additional):
            if token is not None:
                found.setdefault(token.content, token)
        return list(found.values())

    @property
    def all_special_tokens(self) -> list[str]:
        """All special tokens, each once."""
        return [token.content for token in self.all_special_tokens_extended]

    @property
    def all_special_ids(self) -> list[int]:
        """Their ids."""
        return [self.vocabulary.to_id(token) for token in self.all_special_tokens]

    @property
    def vocab_size(self) -> int:
        """The size of the vocabulary without what was added to its end."""
        return self.vocabulary.segmenter.size

    def __len__(self) -> int:
        return len(self.vocabulary)

    def get_vocab(self) -> dict[str, int]:
        """All tokens with their ids."""
        return self.vocabulary.get_vocab()

    @property
    def added_tokens_decoder(self) -> dict[int, AddedToken]:
        """The tokens that text is split at, by id."""
        return dict(sorted(self.vocabulary.added.items()))

    @property
    def added_tokens_encoder(self) -> dict[str, int]:
        """The ids of the tokens that text is split at."""
        return {t.content: i for i, t in self.added_tokens_decoder.items()}

    def get_added_vocab(self) -> dict[str, int]:
        """The ids of the tokens that text is split at."""
        return self.added_tokens_encoder

    def add_tokens(
        self, new_tokens: str | AddedToken | Sequence[Any], special_tokens: bool = False
    ) -> int:
        """Add tokens that text is split at, at the end unless they are known.

        The model needs as many rows: `model.resize_token_embeddings(len(tokenizer))`.

        Args:
            new_tokens: One or more.
            special_tokens: Whether decoding can skip them, and case counts.

        Returns:
            How many the vocabulary did not have.
        """
        single = isinstance(new_tokens, (str, AddedToken))
        tokens = [new_tokens] if single else new_tokens
        count = 0
        for token in cast(Sequence[Any], tokens):
            if isinstance(token, str):
                if not token or token in self.get_added_vocab():
                    continue
                special = special_tokens or token in self.all_special_tokens
                token = AddedToken(token, normalized=not special, special=special)
            elif not isinstance(token, AddedToken):
                raise TokenizerError(
                    f"{shown(token)} is not a token. Give text, or an AddedToken."
                )
            if special_tokens:
                token.special = True
            if token.special and token.content not in self.all_special_tokens:
                self._additional.append(token)
            count += self.vocabulary.add(token)
        self._refresh()
        return count

    def add_special_tokens(
        self,
        special_tokens_dict: dict[str, Any],
        replace_additional_special_tokens: bool = True,
    ) -> int:
        """Give special tokens their roles, and add them where they are new.

        Args:
            special_tokens_dict: Role -> token; for "additional_special_tokens" a list.
            replace_additional_special_tokens: Whether earlier ones lose that status.

        Returns:
            How many the vocabulary did not have.

        Raises:
            TokenizerError: There is no such role.
        """
        unknown = sorted(special_tokens_dict.keys() - {*ROLES, ADDITIONAL})
        if unknown:
            raise TokenizerError(
                f"There is no special token called {', '.join(unknown)}. Choose among "
                f"{', '.join((*ROLES, ADDITIONAL))}."
            )
        added: list[AddedToken] = []
        for role, value in special_tokens_dict.items():
            if role != ADDITIONAL:
                token = value
                if isinstance(value, str):
                    token = AddedToken(value, normalized=False, special=True)
                self.set_role(role, token)
                added.append(as_token(token, role))
                continue
            tokens = [as_token(token, ADDITIONAL) for token in value]
            known = [] if replace_additional_special_tokens else self._additional
            names = [token.content for token in known]
            self._additional = known + [t for t in tokens if t.content not in names]
            added += tokens
        self._refresh()
        return self.add_tokens(added, special_tokens=True)

    def num_special_tokens_to_add(self, pair: bool = False) -> int:
        """How many special tokens are put around a text, or a pair."""
        return len(self.build_inputs_with_special_tokens([], [] if pair else None))

    def build_inputs_with_special_tokens(
        self, token_ids_0: list[int], token_ids_1: list[int] | None = None
    ) -> list[int]:
        """Put special tokens around: [CLS] A [SEP], or [CLS] A [SEP] B [SEP]."""
        cls, sep = self._around()
        if token_ids_1 is None:
            return [cls, *token_ids_0, sep]
        return [cls, *token_ids_0, sep, *token_ids_1, sep]

    def create_token_type_ids_from_sequences(
        self, token_ids_0: list[int], token_ids_1: list[int] | None = None
    ) -> list[int]:
        """The segments of these inputs: 0 for [CLS] A [SEP], 1 for B [SEP]."""
        first = [0] * (len(token_ids_0) + 2)
        return first if token_ids_1 is None else first + [1] * (len(token_ids_1) + 1)

    def get_special_tokens_mask(
        self,
        token_ids_0: list[int],
        token_ids_1: list[int] | None = None,
        already_has_special_tokens: bool = False,
    ) -> list[int]:
        """1 for special tokens, 0 for others.

        Args:
            token_ids_0: Ids of the first text.
            token_ids_1: Ids of the second.
            already_has_special_tokens: Whether the first list is the whole input.
        """
        if already_has_special_tokens:
            special = set(self.all_special_ids)
            return [int(i in special) for i in token_ids_0]
        mask = [1, *[0] * len(token_ids_0), 1]
        return mask if token_ids_1 is None else [*mask, *[0] * len(token_ids_1), 1]

    def convert_tokens_to_ids(self, tokens: Any) -> Any:
        """The id of a token, or those of several; unknown ones have that of `unk`."""
        if tokens is None or isinstance(tokens, str):
            return None if tokens is None else self.vocabulary.to_id(tokens)
        return [self.vocabulary.to_id(token) for token in tokens]

    def convert_ids_to_tokens(self, ids: Any, skip_special_tokens: bool = False) -> Any:
        """The token of an id, or those of several.

        Args:
            ids: An integer, or any sequence or array of them.
            skip_special_tokens: Whether to leave out special tokens.

        Raises:
            TokenizerError: There is no such id.
        """
        if np.ndim(ids) == 0:
            return self.vocabulary.to_token(int(ids))
        skipped = set(self.all_special_ids) if skip_special_tokens else set[int]()
        numbers = [int(i) for i in ids]
        return [self.vocabulary.to_token(i) for i in numbers if i not in skipped]

    def convert_tokens_to_string(self, tokens: list[str]) -> str:
        """Put tokens together to a text."""
        return self.vocabulary.segmenter.to_text(tokens)

    def decode(
        self,
        token_ids: Any,
        skip_special_tokens: bool = False,
        clean_up_tokenization_spaces: bool | None = None,
        spaces_between_special_tokens: bool = True,
    ) -> str:
        """The text of ids.

        Args:
            token_ids: An integer, or a sequence or array of them.
            skip_special_tokens: Whether to leave out special tokens.
            clean_up_tokenization_spaces: Whether to remove spaces before punctuation.
            spaces_between_special_tokens: Whether to put spaces around added tokens.
        """
        ids = [token_ids] if np.ndim(token_ids) == 0 else token_ids
        tokens = self.convert_ids_to_tokens(ids, skip_special_tokens)
        alone = self.get_added_vocab().keys() - set(self.all_special_tokens)
        alone |= {
            token
            for token in self.additional_special_tokens
            if self.vocabulary.to_id(token) >= self.vocab_size
        }
        texts: list[str] = []
        run: list[str] = []
        for token in tokens:
            if token not in alone:
                run.append(token)
                continue
            texts += filter(None, [self.convert_tokens_to_string(run) if run else ""])
            texts.append(token)
            run = []
        if run:
            texts.append(self.convert_tokens_to_string(run))
        text = (" " if spaces_between_special_tokens else "").join(texts)
        if clean_up_tokenization_spaces is None:
            clean_up_tokenization_spaces = self.clean_up_tokenization_spaces
        return (
            self.clean_up_tokenization(text) if clean_up_tokenization_spaces else text
        )

    def batch_decode(self, sequences: Iterable[Any], **options: Any) -> list[str]:
        """The texts of many rows of ids; the options are those of `decode`."""
        return [self.decode(row, **options) for row in sequences]

    @staticmethod
    def clean_up_tokenization(out_string: str) -> str:
        """Remove spaces before punctuation and English abbreviations."""
        for spaced, clean in CLEANED:
            out_string = out_string.replace(spaced, clean)
        return out_string

    def _around(self) -> tuple[int, int]:
        cls, sep = self._edges
        if cls is None or sep is None:
            raise TokenizerError(
                f"cls_token={self.cls_token!r} and sep_token={self.sep_token!r}: both "
                f"are needed. Set them, or ask for add_special_tokens=False."
            )
        return cls, sep
