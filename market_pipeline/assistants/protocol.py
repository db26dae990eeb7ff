"""The protocol's server: tools with their schemas, resources, and errors as messages with the next step."""

import functools
import inspect
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Annotated, Any

from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ResourceNotFoundError, ToolError
from mcp.types import CallToolResult, TextContent, ToolAnnotations
from pydantic import BaseModel, ValidationError

from market_pipeline import __version__
from market_pipeline.api.context import ReadingContext
from market_pipeline.api.problems import to_problem
from market_pipeline.assistants.analyst_query import AnalystQueries
from market_pipeline.assistants.descriptions import (
    GLOSSARY,
    SCHEMA,
    TABLE,
    describe_schema,
    describe_table,
    read_glossary,
)
from market_pipeline.assistants.results import ToolProblem
from market_pipeline.assistants.tools import Tools

INSTRUCTIONS = f"""
A warehouse of daily market data: bars of stocks, funds and crypto by trading session, splits and dividends, and what is
missing or doubtful, with the reason. Everything here only reads. What is not known is null, never zero. For returns use
get_bars with adjustment "all"; for anything over many symbols use query. {SCHEMA} has the tables with their columns,
{GLOSSARY} the words. If data are missing or strange, find_problems has the reason.
"""


class AssistantServer(MCPServer[Any]):
    """The server. A call with wrong arguments is answered by one line that names them."""

    async def call_tool(self, name: str, arguments: dict[str, Any], context: Any = None) -> Any:
        """Call a tool.

        Raises:
            ToolError: the tool is unknown, its arguments are wrong, or it failed; the message has the next step.
        """
        # The library leaves unknown ones out: a filter of another name would return rows that it was to leave out.
        for tool in await self.list_tools():
            known = tool.input_schema["properties"]
            if tool.name == name and (unknown := sorted(arguments.keys() - known.keys())):
                raise ToolError(f"{name}: there is no argument {', '.join(unknown)}: use {', '.join(known)}")
        try:
            return await super().call_tool(name, arguments, context)
        except ToolError as error:
            if isinstance(error.__cause__, ValidationError):
                raise ToolError(f"{name}: {_describe_arguments(error.__cause__)}") from None
            raise


def create_server(context: ReadingContext, queries: AnalystQueries) -> AssistantServer:
    """Create the server over a context, whose reader it opens and closes."""

    @asynccontextmanager
    async def lifespan(_server: object) -> AsyncIterator[None]:
        await context.reader.open()
        try:
            yield
        finally:
            await context.reader.close()

    server = AssistantServer(
        "market-pipeline",
        title="Market Pipeline",
        instructions=" ".join(INSTRUCTIONS.split()),
        version=__version__,
        lifespan=lifespan,
        log_level="WARNING",
    )
    tools = Tools(context, queries)
    for tool in (
        tools.list_symbols, tools.get_coverage, tools.get_bars, tools.get_universe, tools.get_corporate_actions,
        tools.find_problems, tools.query,
    ):  # fmt: skip
        server.add_tool(_wrap_tool(tool), annotations=ToolAnnotations(read_only_hint=True, open_world_hint=False))
    _add_resources(server, context)
    return server


def _wrap_tool(function: Callable[..., Awaitable[BaseModel]]) -> Callable[..., Awaitable[CallToolResult]]:
    """Wrap a tool: its result becomes compact JSON, its errors become messages."""

    @functools.wraps(function)
    async def call(**arguments: Any) -> CallToolResult:
        try:
            result = await function(**arguments)
        except ToolProblem as rejection:
            raise ToolError(str(rejection)) from None
        except Exception as error:
            problem = to_problem(error)
            if problem.status == 500:  # its details are for the operator
                logging.getLogger(__name__).exception("the tool %s failed", function.__name__)
            raise ToolError(problem.detail) from None
        text = TextContent(type="text", text=result.model_dump_json())
        return CallToolResult(content=[text], structured_content=result.model_dump(mode="json"))

    signature = inspect.signature(function)
    call.__signature__ = signature.replace(  # type: ignore[attr-defined]  # inspect reads it
        return_annotation=Annotated[CallToolResult, signature.return_annotation]
    )
    call.__doc__ = " ".join((function.__doc__ or "").split())
    return call


def _add_resources(server: AssistantServer, context: ReadingContext) -> None:
    markdown = "text/markdown"

    @server.resource(SCHEMA, title="Schema", description="Tables, views and marts with columns.", mime_type=markdown)
    async def schema() -> str:
        return await describe_schema(context.catalog)

    @server.resource(TABLE, title="Table", description="Columns of a table with their meanings.", mime_type=markdown)
    async def table(table: str) -> str:
        text = await describe_table(context.catalog, table)
        if text is None:
            raise ResourceNotFoundError(f"there is no table {table!r}: {SCHEMA} lists all; a mart exists once built")
        return text

    @server.resource(GLOSSARY, title="Glossary", description="The words that data and tools use.", mime_type=markdown)
    def glossary() -> str:
        return read_glossary()


def _describe_arguments(error: ValidationError) -> str:
    """Return each wrong argument with the reason, without the value, which may be long."""
    found: Mapping[str, str] = {".".join(map(str, each["loc"])): each["msg"] for each in error.errors()}
    return "; ".join(f"{name}: {reason}" for name, reason in found.items())
