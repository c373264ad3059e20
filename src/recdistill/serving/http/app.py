"""The application: what FastAPI answers and documents, behind the gate."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import orjson
from fastapi import Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.security import HTTPBearer
from starlette.exceptions import HTTPException
from starlette.routing import Match
from starlette.types import ASGIApp, Scope

from ... import __version__
from ...errors import RecdistillError
from ..deployment import Home
from ..feedback import Writer, open_store
from ..showcase import Showcase
from . import infer, schemas
from .gate import Gate, Quick
from .live import Live
from .meters import Meters
from .pages import add_documentation, add_page
from .problems import said
from .service import Service
from .settings import Keys, Settings

__all__ = ["create_app"]

log = logging.getLogger("recdistill.server")

_NOTED = 5.0
"""Seconds after which the numbers of answers are written down."""
_PROBLEMS: dict[int | str, dict[str, Any]] = {
    code: {"model": schemas.Problem, "description": text}
    for code, text in {
        400: "the JSON is nested too deeply, or what it says contradicts itself",
        401: "a key is needed",
        404: "no such item, model or place",
        405: "the place takes another method",
        408: "the request did not come within the time",
        409: "this bundle cannot do that",
        413: "the body is too large",
        415: "the body is no JSON",
        421: "this server answers to localhost only",
        422: "the body does not have the form that is asked for",
        429: "too many requests",
        503: "not just now: try again in a few seconds",
        504: "the answer was not ready within the time",
    }.items()
}


def create_app(home: Home, settings: Settings | None = None, keys: Keys | None = None) -> ASGIApp:
    """The whole server as an ASGI application.

    Args:
        home: What is served, and where events go.
        settings: Limits.
        keys: Who may ask; everybody if empty. None: from the environment.

    Raises:
        RecdistillError: There is no bundle that can be served, or a key is no key.
    """
    settings, meters = settings or Settings(), Meters()
    live = Live(home, meters, settings.new_items)
    events = Writer(lambda: open_store(settings.feedback, home.events))
    service = Service(live, events, meters, settings.micro_batch, _showcase(home), new_items=settings.new_items > 0)
    quick = _quick(service)
    keys = Keys.from_environment() if keys is None else keys
    app = _fastapi(service, settings, quick, with_key=bool(keys))
    return Gate(app, quick, _namer(app), settings, keys, meters)


def _showcase(home: Home) -> Showcase:
    """The models to compare with; what is wrong with them is no reason not to serve."""
    try:
        return Showcase(home.showcase)
    except RecdistillError as error:
        log.warning("nothing to compare with", extra={"fields": {"reason": str(error)}})
        return Showcase(None)


def _fastapi(service: Service, settings: Settings, quick: Mapping[str, Quick], *, with_key: bool) -> FastAPI:
    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(service.live.watch(settings.watch)), asyncio.create_task(_note_answers(service))]
        yield
        for task in tasks:
            task.cancel()
        with contextlib.suppress(RecdistillError):
            await service.note_answers()
        await asyncio.to_thread(service.close)

    app = FastAPI(
        title="recdistill",
        version=__version__,
        description="Recommendations from a bundle.",
        responses=_PROBLEMS,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        # only described: the gate has looked at the key before
        dependencies=[Depends(HTTPBearer(auto_error=False, description="a key of this server"))] if with_key else [],
        default_response_class=Response,
    )
    for kind in (HTTPException, RequestValidationError, RecdistillError, Exception):
        app.add_exception_handler(kind, _problem)
    for path, route in quick.items():
        _document(app, path, route)
    _state(app, service)
    _protocol(app, service)
    add_documentation(app)
    add_page(app)
    return app


async def _note_answers(service: Service) -> None:
    while True:
        await asyncio.sleep(_NOTED)
        try:
            await service.note_answers()
        except RecdistillError:  # the next time, then
            pass
        except Exception:
            log.exception("numbers of answers could not be written down")


async def _problem(request: Request, error: Exception) -> Response:
    """Every refusal in the form that the gate gives it."""
    name = request.scope["request_id"]
    status, what, headers = said(error, name)
    body = orjson.dumps({"error": what, "request": name})
    return Response(body, status, headers, media_type="application/json")


def _quick(service: Service) -> dict[str, Quick]:
    """Every route that takes a question of ours."""
    one, many = schemas.Answer, schemas.Answers
    return {
        f"/v1/{path}": route
        for path, route in {
            "recommend": Quick(schemas.Recommend, one, service.recommend, "Items for a history or a user"),
            "recommend/batch": Quick(schemas.RecommendMany, many, service.recommend_many, "For many at once"),
            "similar": Quick(schemas.Similar, one, service.similar, "Items like one"),
            "similar/batch": Quick(schemas.SimilarMany, many, service.similar_many, "Like each of many"),
            "popular": Quick(schemas.Popular, one, service.popular, "What many use"),
            "search": Quick(schemas.Search, one, service.search, "Items by words of their title or categories"),
            "search/batch": Quick(schemas.SearchMany, many, service.search_many, "By each of many texts"),
            "feedback": Quick(schemas.Events, schemas.Stored, service.store, "Store what users did, each event once"),
            "items": Quick(schemas.NewItems, schemas.Added, service.add, "Take in items that nobody has seen yet"),
            "compare": Quick(schemas.Compare, schemas.Comparison, service.compare, "Models of the run side by side"),
            "items/batch": Quick(schemas.Ids, schemas.Items, service.items, "What is known about many items"),
        }.items()
    }


def _document(app: FastAPI, path: str, route: Quick) -> None:
    """Let FastAPI describe a route that the gate answers."""

    async def endpoint(body: Any) -> Response:
        return _json(await route.work(body))

    endpoint.__annotations__["body"] = route.question
    name = path.removeprefix("/v1/").replace("/", "_")
    app.post(path, response_model=route.answer, summary=route.about, tags=["v1"], name=name, operation_id=name)(
        endpoint
    )


def _state(app: FastAPI, service: Service) -> None:
    @app.get("/v1/items/{item:path}", response_model=schemas.Item, tags=["v1"], summary="One item", operation_id="item")
    async def item(item: str) -> Response:
        return _json(service.item(item))

    @app.get(
        "/v1/pictures/{item:path}",
        response_class=Response,
        responses={200: {"content": {"image/*": {}}}, 204: {"description": "the item has no picture"}},
        tags=["v1"],
        summary="The picture of an item",
        operation_id="picture",
    )
    async def picture(item: str) -> Response:
        found = service.picture(item)
        return Response(status_code=204) if found is None else Response(found[1], media_type=found[0])

    @app.get("/v1/card", response_model=schemas.Card, tags=["v1"], summary="What is served", operation_id="card")
    async def card() -> Response:
        return _json(service.card())

    @app.get(
        "/v1/compare",
        response_model=schemas.Shown,
        tags=["v1"],
        summary="What there is to compare",
        operation_id="shown",
    )
    async def shown() -> Response:
        return _json(await asyncio.to_thread(service.shown))

    @app.get(
        "/v1/report", response_model=schemas.Report, tags=["v1"], summary="Variants side by side", operation_id="report"
    )
    async def report() -> Response:
        return _json(await service.report())

    @app.get("/metrics", tags=["state"], summary="Counters for Prometheus", operation_id="metrics")
    async def metrics() -> Response:
        text = await asyncio.to_thread(service.meters.text)
        return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")


def _protocol(app: FastAPI, service: Service) -> None:
    tags: list[Any] = ["Open Inference Protocol v2"]

    def version() -> str:
        return service.live.now.main.fingerprint

    def check(model: str) -> None:
        if model != infer.MODEL:
            raise HTTPException(404, f"no model is called {model!r}; there is {infer.MODEL!r}")

    @app.get("/v2", tags=tags, summary="Name and version of the server", operation_id="v2")
    async def server() -> Response:
        return _json({"name": "recdistill", "version": __version__, "extensions": []})

    @app.get("/v2/health/live", tags=tags, summary="The process runs", operation_id="v2_live")
    async def live() -> Response:
        return _json({"live": True})

    @app.get("/v2/health/ready", tags=tags, summary="Bundles are open", operation_id="v2_ready")
    async def ready() -> Response:
        return _json({"ready": True})

    @app.get("/v2/models/{model}", response_model=infer.Metadata, tags=tags, summary="Tensors", operation_id="v2_model")
    async def metadata(model: str) -> Response:
        check(model)
        return _json(infer.metadata(version()))

    @app.get("/v2/models/{model}/ready", tags=tags, summary="The model answers", operation_id="v2_model_ready")
    async def model_ready(model: str) -> Response:
        check(model)
        return _json({"name": model, "ready": True})

    @app.post(
        "/v2/models/{model}/infer",
        response_model=infer.InferAnswer,
        tags=tags,
        summary="Recommend",
        operation_id="v2_infer",
    )
    async def run(model: str, body: infer.InferQuestion) -> Response:
        check(model)
        questions = infer.questions(body)
        return _json(infer.answer(body, (await service.recommend_many(questions))["answers"]))


def _json(value: Any) -> Response:
    return Response(orjson.dumps(value), media_type="application/json")


def _namer(app: FastAPI) -> Callable[[Scope], str]:
    """Names the route of a request for metrics: few names, whatever is asked."""

    def name(scope: Scope) -> str:
        for route in app.routes:
            if route.matches(scope)[0] is not Match.NONE:
                return str(getattr(route, "path", "other"))
        return "other"

    return name
