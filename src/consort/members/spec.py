"""What a member is, and the id that says so."""

import re
from dataclasses import dataclass
from functools import cached_property

from consort.documents import canonical_json, sha256
from consort.study.recipe import Recipe


@dataclass(frozen=True)
class MemberSpec:
    """What a member is: one trained network = architecture + data + recipe + seed."""

    architecture: str
    data: str
    """Fingerprint of the prepared data."""
    recipe: Recipe
    seed: int

    @cached_property
    def id(self) -> str:
        """`<architecture>-s<seed>-<hash>`, a DNS label of at most 48 characters."""
        digest = sha256(canonical_json({**self.common(), "seed": self.seed}).encode())[:10]
        return f"{self.slug}-s{self.seed}-{digest}"

    @property
    def slug(self) -> str:
        """The architecture as ids begin with it; other architectures may have the same."""
        return re.sub(r"[^a-z0-9]+", "-", self.architecture.lower()).strip("-")[:28].strip("-") or "member"

    def common(self) -> dict:
        """What it has in common with members of other seeds; of the recipe only what differs from the defaults."""
        return {"architecture": self.architecture, "data": self.data, "recipe": self.recipe.identity()}

    def to_dict(self) -> dict:
        return {"architecture": self.architecture, "data": self.data, "recipe": self.recipe.model_dump(mode="json"),
                "seed": self.seed}

    @classmethod
    def from_dict(cls, values: dict) -> "MemberSpec":
        return cls(values["architecture"], values["data"], Recipe.model_validate(values["recipe"]), values["seed"])
