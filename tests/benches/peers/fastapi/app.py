"""The plain contract with FastAPI, SQLAlchemy and asyncpg, adapted to Lambda by Mangum."""

import asyncio
import logging
import os
import ssl
import uuid
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated, Any
from urllib.parse import quote

import jwt
from fastapi import APIRouter, Depends, FastAPI, Header, HTTPException, Path, Response
from mangum import Mangum
from pydantic import BaseModel, ConfigDict, Field, StrictBool, StringConstraints
from sqlalchemy import BigInteger, DateTime, ForeignKey, Identity, case, delete, func, make_url, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, configure_mappers, mapped_column

LEEWAY_SECONDS = 30
LIST_LIMIT = 1000
SECRET = os.environ["JWT_SECRET"]


class Base(DeclarativeBase):
    type_annotation_map = {datetime: DateTime(timezone=True)}


class UserRow(Base):
    __tablename__ = "users"

    id: Mapped[str] = mapped_column(primary_key=True)


class TaskRow(Base):
    __tablename__ = "tasks"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    number: Mapped[int] = mapped_column(BigInteger, Identity(always=True))
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    title: Mapped[str]
    description: Mapped[str | None]
    completed: Mapped[bool]
    completed_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())


# PostgreSQL can't store U+0000.
Title = Annotated[str, StringConstraints(strict=True, max_length=200, pattern=r"^[^\x00]*[^\s\x00][^\x00]*$")]
Description = Annotated[str, StringConstraints(strict=True, max_length=1000, pattern=r"^[^\x00]*$")]


class NewTask(BaseModel):
    title: Title
    description: Description | None = None
    completed: StrictBool = False


class TaskChanges(BaseModel):
    title: Title | None = None
    description: Description | None = None
    completed: StrictBool | None = None

    def to_columns(self) -> dict[str, Any]:
        """Returns the columns to set. Null clears the description; for other fields it counts as absent."""
        fields = self.model_dump(exclude_unset=True)
        columns = {name: value for name, value in fields.items() if value is not None or name == "description"}
        if "completed" in columns:
            # A task that is already completed keeps its time.
            columns["completed_at"] = func.coalesce(TaskRow.completed_at, func.now()) if self.completed else None
        return columns


class Task(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: int = Field(validation_alias="number")
    user_id: str
    title: str
    description: str | None
    completed: bool
    created_at: datetime
    updated_at: datetime


def make_engine() -> AsyncEngine:
    url = make_url(os.environ["DATABASE_URL"])
    tls = url.query.get("sslmode", "disable") != "disable"
    return create_async_engine(
        url.set(drivername="postgresql+asyncpg", query={}),
        connect_args={"ssl": ssl.create_default_context(cadata=os.environ.get("DATABASE_CA_CERT")) if tls else False},
        # A process handles one request at a time.
        pool_size=1,
        max_overflow=0,
    )


engine = make_engine()
Transaction = async_sessionmaker(engine, expire_on_commit=False)
# A single select needs no BEGIN and COMMIT, each of which would take another round trip.
Reading = async_sessionmaker(engine.execution_options(isolation_level="AUTOCOMMIT"), expire_on_commit=False)


async def open_transaction() -> AsyncIterator[AsyncSession]:
    async with Transaction.begin() as session:
        yield session


async def open_reading() -> AsyncIterator[AsyncSession]:
    async with Reading() as session:
        yield session


def unauthorized(detail: str) -> HTTPException:
    return HTTPException(401, detail, {"WWW-Authenticate": "Bearer"})


async def authenticate(user_id: str, authorization: Annotated[str | None, Header()] = None) -> str:
    """Returns the user id of the token, which must equal that of the path."""
    scheme, _, token = (authorization or "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise unauthorized("Missing authorization token")
    try:
        claims = jwt.decode(
            token, SECRET, algorithms=["HS256"], leeway=LEEWAY_SECONDS, options={"require": ["exp", "sub"]}
        )
    except jwt.ExpiredSignatureError:
        raise unauthorized("Token has expired") from None
    except jwt.InvalidTokenError:
        raise unauthorized("Invalid or malformed token") from None
    if claims["sub"] != user_id:
        raise HTTPException(403, "Access forbidden: user_id mismatch")
    return user_id


Caller = Annotated[str, Depends(authenticate)]
TaskId = Annotated[int, Path(ge=1, le=2**63 - 1)]
# The session ends before the response is sent. Otherwise a failed commit would be reported as success.
Read = Annotated[AsyncSession, Depends(open_reading, scope="function")]
Write = Annotated[AsyncSession, Depends(open_transaction, scope="function")]

router = APIRouter(prefix="/plain/api/{user_id}/tasks")


def found(task: TaskRow | None) -> TaskRow:
    if task is None:
        raise HTTPException(404, "Task not found")
    return task


async def change(session: AsyncSession, caller: str, task_id: int, columns: dict[str, Any]) -> TaskRow:
    statement = update(TaskRow).where(TaskRow.user_id == caller, TaskRow.number == task_id)
    return found(await session.scalar(statement.values(columns).returning(TaskRow)))


@router.post("", status_code=201, response_model=Task)
async def create_task(caller: Caller, new: NewTask, session: Write, response: Response) -> TaskRow:
    await session.execute(insert(UserRow).values(id=caller).on_conflict_do_nothing())
    task = TaskRow(user_id=caller, completed_at=func.now() if new.completed else None, **new.model_dump())
    session.add(task)
    await session.flush()
    response.headers["Location"] = f"/plain/api/{quote(caller, safe='')}/tasks/{task.number}"
    return task


@router.get("", response_model=list[Task])
async def list_tasks(caller: Caller, session: Read) -> list[TaskRow]:
    statement = select(TaskRow).where(TaskRow.user_id == caller).order_by(TaskRow.number).limit(LIST_LIMIT)
    return list(await session.scalars(statement))


@router.get("/{task_id}", response_model=Task)
async def get_task(caller: Caller, task_id: TaskId, session: Read) -> TaskRow:
    statement = select(TaskRow).where(TaskRow.user_id == caller, TaskRow.number == task_id)
    return found(await session.scalar(statement))


@router.put("/{task_id}", response_model=Task)
async def update_task(caller: Caller, task_id: TaskId, changes: TaskChanges, session: Write) -> TaskRow:
    columns = changes.to_columns()
    return await change(session, caller, task_id, columns) if columns else await get_task(caller, task_id, session)


@router.patch("/{task_id}/complete", response_model=Task)
async def complete_task(caller: Caller, task_id: TaskId, session: Write) -> TaskRow:
    columns = {"completed": ~TaskRow.completed, "completed_at": case((~TaskRow.completed, func.now()))}
    return await change(session, caller, task_id, columns)


@router.delete("/{task_id}", status_code=204)
async def delete_task(caller: Caller, task_id: TaskId, session: Write) -> None:
    statement = delete(TaskRow).where(TaskRow.user_id == caller, TaskRow.number == task_id)
    if (await session.execute(statement)).rowcount == 0:
        raise HTTPException(404, "Task not found")


# Without FastAPI's documentation routes.
app = FastAPI(openapi_url=None)
app.include_router(router)


async def connect() -> None:
    try:
        async with engine.connect():
            pass
    except (OSError, SQLAlchemyError):
        # The first request tries again.
        logging.exception("The database can't be reached")


configure_mappers()
# The engine's connection is bound to the event loop that created it, so Mangum must use the same loop.
loop = asyncio.new_event_loop()
asyncio.set_event_loop(loop)
loop.run_until_complete(connect())
handler = Mangum(app, lifespan="off")
