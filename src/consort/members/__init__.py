"""Members in the store: their specification, their record, and files that are checked against the record."""

from consort.members.stored import (
    all_damaged,
    begun,
    files,
    find,
    ids_of_plan,
    is_id,
    read_failure,
    read_file,
    read_record,
    read_spec,
    why_missing,
    write_failure,
    write_files,
    write_record,
    write_setback,
    write_specs,
)

__all__ = ["all_damaged", "begun", "files", "find", "ids_of_plan", "is_id", "read_failure", "read_file", "read_record",
           "read_spec", "why_missing", "write_failure", "write_files", "write_record", "write_setback", "write_specs"]
