"""Which logits members lack, found without torch: what there is to predict."""

from collections.abc import Mapping, Sequence, Set

from consort import members
from consort.errors import InputError
from consort.members.records import MemberRecord
from consort.plurals import counted
from consort.store import Store, keys


def missing_logits(store: Store, records: Sequence[MemberRecord], further: Mapping[str, str]) -> dict[str, list[str]]:
    """Member -> the test sets (val, test, or a further one's name) whose logits it lacks; members without a lack are
    left out. further: name -> fingerprint of the further test sets."""
    present = members.files(store, [record.id for record in records])
    lacking = {record.id: _lacking(record, present[record.id], further) for record in records}
    return {member: names for member, names in lacking.items() if names}


def no_torch(lacking: Mapping[str, Sequence[str]], ref: str) -> InputError:
    """These members' logits have to be predicted, and torch is not installed here."""
    shown = "".join(f"\n  {member}: {', '.join(names)}" for member, names in list(lacking.items())[:5])
    return InputError(f"{counted(len(lacking), 'member')} {'lacks' if len(lacking) == 1 else 'lack'} logits, and "
                      f"predicting needs torch, which is not installed here. Run `consort predict {ref}` where it is:"
                      f"{shown}")


def _lacking(record: MemberRecord, present: Set[str], further: Mapping[str, str]) -> list[str]:
    own = [split for split in ("val", "test")
           if (name := keys.logits_name(split)) not in record.files or name not in present]
    return own + [name for name, fingerprint in further.items()
                  if not {keys.logits_name(fingerprint), keys.extra_logits_record_name(fingerprint)} <= present]
