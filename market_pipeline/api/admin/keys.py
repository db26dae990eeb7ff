"""Administrators' endpoints for API keys, under the earlier service's paths and names; each needs a key of scope admin.

The command line does the same, and creates the first key: `market-pipeline keys create NAME --scope admin`.
"""

from datetime import datetime, timedelta
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from market_pipeline.api.admin.auth import NO_NULL, AuditedRoute, key_header
from market_pipeline.api.context import InContext
from market_pipeline.api.problems import ProblemError
from market_pipeline.warehouse.api_keys import (
    Scope,
    create_key,
    find_key,
    list_keys,
    read_audit_trail,
    restore_key,
    revoke_key,
)

PREFIX = "/api/v1/admin/api-keys"
router = APIRouter(prefix=PREFIX, tags=["administration"], route_class=AuditedRoute, dependencies=[Depends(key_header)])

Id = Annotated[
    str, Path(description="The key's id, which is its first part and not secret.", max_length=100, pattern=NO_NULL)
]


class NewKey(BaseModel):
    """A key to create."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(
        max_length=100,
        pattern=r"^[^\x00-\x20\x7f][^\x00-\x1f\x7f]*$",
        description="Its owner or purpose.",
        examples=["notebook"],
    )
    scope: Scope = Field(Scope.READ, description="Its permissions; admin includes reading.")
    days: int | None = Field(None, ge=1, le=36_500, description="Days until it expires; by default it never does.")


class Key(BaseModel):
    """A key without its secret part.

    `active`: it is accepted. `last_used` is to the minute, `request_count` the number of administrators' requests.
    """

    model_config = ConfigDict(from_attributes=True)

    id: str
    name: str
    scope: Scope
    active: bool
    created_at: datetime
    expires_at: datetime | None
    last_used: datetime | None
    request_count: int


class MadeKey(Key):
    """A new key: `api_key` is the key itself, which is not shown again."""

    api_key: str
    key_preview: str


class Entry(BaseModel):
    """A request made with a key."""

    id: int
    endpoint: str
    method: str
    status_code: int
    timestamp: datetime


class Trail(BaseModel):
    """A part of a key's audit trail, newest first; `total` is the number of all entries."""

    key_id: str
    entries: list[Entry]
    total: int
    limit: int
    offset: int


class KeyChange(BaseModel):
    """A change of a key."""

    model_config = ConfigDict(extra="forbid")

    active: bool = Field(strict=True, description="True to accept the key, false to reject it.")


class Done(BaseModel):
    """Result of a key's change."""

    status: Literal["success"] = "success"
    message: str
    key_id: str
    active: bool


_LINKS = {
    operation: {"operationId": operation, "parameters": {"key_id": "$response.body#/id"}}
    for operation in ("key_audit", "change_key", "revoke_key")
}


@router.post("", status_code=201, operation_id="create_key", responses={201: {"links": _LINKS}})
def make(context: InContext, new_key: NewKey) -> MadeKey:
    """Create a key. It can't be shown again, since only its hash is stored."""
    lifetime = timedelta(days=new_key.days) if new_key.days else None
    key = create_key(context.warehouse, new_key.name, new_key.scope, lifetime).get_secret_value()
    made = Key.model_validate(find_key(context.warehouse, key.split("_")[1]))
    return MadeKey(**made.model_dump(), api_key=key, key_preview=f"{key[:12]}...")


@router.get("", operation_id="list_keys")
def list_all(
    context: InContext, active_only: Annotated[bool, Query(description="Leave out rejected keys.")] = False
) -> list[Key]:
    """List all keys, revoked ones included, oldest first."""
    keys = map(Key.model_validate, list_keys(context.warehouse))
    return [key for key in keys if key.active or not active_only]


@router.get("/{key_id}/audit", operation_id="key_audit")
def audit(
    context: InContext,
    key_id: Id,
    limit: Annotated[int, Query(ge=1, le=1_000, description="The number of entries.")] = 100,
    offset: Annotated[int, Query(ge=0, le=10**9, description="The number of newest entries to leave out.")] = 0,
) -> Trail:
    """Return a key's audit trail: all its requests to administrators' endpoints, rejected ones included."""
    lines = read_audit_trail(context.warehouse, key_id, limit, offset)
    entries = [Entry(**line._asdict(), timestamp=line.at) for line in lines]
    total = find_key(context.warehouse, key_id).request_count
    return Trail(key_id=key_id, entries=entries, total=total, limit=limit, offset=offset)


@router.put("/{key_id}", operation_id="change_key")
def change(context: InContext, request: Request, key_id: Id, change_request: KeyChange) -> Done:
    """Reject a key from now on, or accept it again. An expired key stays rejected; no key can reject itself."""
    if not change_request.active:
        _check_other(request, key_id)
    (restore_key if change_request.active else revoke_key)(context.warehouse, key_id)
    active = find_key(context.warehouse, key_id).active
    state = "is accepted" if active else "has expired, and is rejected" if change_request.active else "is rejected"
    return Done(message=f"The key {key_id} {state}", key_id=key_id, active=active)


@router.delete("/{key_id}", operation_id="revoke_key")
def revoke(context: InContext, request: Request, key_id: Id) -> Done:
    """Reject a key from now on. Its audit trail is kept. No key can reject itself."""
    _check_other(request, key_id)
    revoke_key(context.warehouse, key_id)
    return Done(message=f"The key {key_id} is rejected; its audit trail is kept", key_id=key_id, active=False)


def _check_other(request: Request, key_id: str) -> None:
    """Check that the key is not the request's own, which could be the last one.

    Raises:
        ProblemError: the request has the key that it is about.
    """
    if request.state.key.id == key_id:
        raise ProblemError(
            409,
            f"this request came with the key {key_id} itself: use another, or `market-pipeline keys revoke {key_id}`",
        )
