"""Requests of the Open Inference Protocol v2 as JSON, read strictly, and what is answered where they are malformed.

This file is part of every bundle, beside what uses it, and needs numpy and starlette.
"""

import json
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from consort.plurals import counted

OUTPUTS = ("probabilities", "members_asked")
LONGEST_ID = 1000
"""Characters."""


def busy(reason: str) -> HTTPException:
    return HTTPException(503, f"busy: {reason}; try again", headers={"Retry-After": "1"})


def refusal(request: Request, error: HTTPException) -> Response:
    detail = error.detail.encode(errors="backslashreplace").decode()  # of the request it may quote half a character
    return JSONResponse({"error": detail}, error.status_code, headers=error.headers)


@dataclass(frozen=True)
class Wanted:
    """What a request asks. The rest of its body is let go while it waits: JSON takes many times its bytes in memory."""

    images: np.ndarray
    outputs: list[str]
    """Names of those that are answered."""
    id: dict[str, Any]
    """{"id": ...} where the request has one, to be sent back."""


def read_request(content: bytes, image: list[int], most: int) -> Wanted:
    """The body of a request for inference, of at most `most` images [height, width, 3]."""
    body = _read_body(content)
    return Wanted(_read_tensor(body, image, most), _wanted_outputs(body), _id(body))


def _read_body(content: bytes) -> dict[str, Any]:
    try:
        values = json.loads(content)
    except (ValueError, RecursionError) as e:
        raise HTTPException(400, f"the body must be JSON: {str(e)[:200]}") from e
    if not isinstance(values, dict):
        raise HTTPException(400, "the body must be a JSON object with inputs")
    return values


def _read_tensor(body: dict[str, Any], image: list[int], most: int) -> np.ndarray:
    """uint8 [n, height, width, 3] of the request's only input, of at most `most` images [height, width, 3]."""
    inputs = body.get("inputs")
    if not isinstance(inputs, list) or len(inputs) != 1 or not isinstance(inputs[0], dict):
        raise HTTPException(400, "inputs must be a list of one tensor, named images")
    tensor = inputs[0]
    if tensor.get("name") != "images" or tensor.get("datatype") != "UINT8":
        raise HTTPException(400, f"the input must be images of datatype UINT8, got {str(tensor.get('name'))[:40]} of "
                                 f"{str(tensor.get('datatype'))[:40]}")
    shape = tensor.get("shape")
    if not isinstance(shape, list) or shape[1:] != image or type(shape[0]) is not int or shape[0] < 1:
        raise HTTPException(400, f"shape must be [N, {', '.join(map(str, image))}] with N of 1 or more, got "
                                 f"{str(shape)[:80]}")
    if shape[0] > most:
        raise HTTPException(413, f"a request may have {counted(most, 'image')}, got {shape[0]}")
    return _pixels(tensor.get("data"), shape)


def _pixels(data: Any, shape: list[int]) -> np.ndarray:
    """uint8 of this shape, from nested lists or one flat list of whole numbers of 0 to 255."""
    try:
        values = np.asarray(data)
    except (ValueError, OverflowError) as e:
        raise HTTPException(400, f"data must be numbers in lists of equal lengths: {e}") from e
    if values.dtype.kind not in "iu" or values.size != math.prod(shape):
        raise HTTPException(400, f"data must be {math.prod(shape)} whole numbers of 0 to 255")
    if values.min() < 0 or values.max() > 255:
        raise HTTPException(400, f"data must be of 0 to 255, got {values.min()} to {values.max()}")
    return values.astype(np.uint8).reshape(shape)


def _wanted_outputs(body: dict[str, Any]) -> list[str]:
    """The names under `outputs`; all of them where the request names none."""
    asked = body.get("outputs") or [{"name": name} for name in OUTPUTS]
    names = [one.get("name") if isinstance(one, dict) else None for one in asked] if isinstance(asked, list) else [""]
    if not all(isinstance(name, str) and name in OUTPUTS for name in names):
        raise HTTPException(400, f"outputs must be of {', '.join(OUTPUTS)}")
    return [str(name) for name in names]


def _id(body: dict[str, Any]) -> dict[str, Any]:
    if "id" not in body:
        return {}
    given = body["id"]
    whole = isinstance(given, str) and given.encode(errors="ignore").decode() == given
    if not (whole or type(given) is int) or len(str(given)) > LONGEST_ID:
        raise HTTPException(400, f"id must be a string of at most {LONGEST_ID:,} characters")
    return {"id": given}
