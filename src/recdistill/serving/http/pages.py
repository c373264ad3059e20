"""What a browser is shown: pages that ask no other address for anything."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path

from fastapi import FastAPI, Response
from fastapi.openapi.docs import get_swagger_ui_html

from ...registry import need

__all__ = ["ASSETS", "add_documentation", "add_page"]

ASSETS = {"/docs/swagger-ui-bundle.js": "text/javascript", "/docs/swagger-ui.css": "text/css"}
"""Files of the page that documents the API, with their types."""
_OWN_ONLY = "default-src 'none'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
_SWAGGER = _OWN_ONLY + "img-src 'self' data:; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'"
_PAGE = Path(__file__).parent.parent / "page" / "index.html"
_KEPT = {"cache-control": "max-age=3600"}


def add_page(app: FastAPI) -> None:
    """Let ``/`` show the page to try what is served; its own script and style are all that a browser may run."""
    text = _PAGE.read_text(encoding="utf-8")
    # pictures of items are fetched, with the key, and shown from memory
    policy = f"{_OWN_ONLY}img-src data: blob:; script-src {_hashed(text, 'script')}; style-src {_hashed(text, 'style')}"

    @app.get("/", include_in_schema=False)
    async def page() -> Response:
        return Response(text, media_type="text/html", headers={"content-security-policy": policy})


def _hashed(text: str, tag: str) -> str:
    """What a content security policy calls the only inline script or style of a page."""
    (inside,) = re.findall(rf"<{tag}>(.*?)</{tag}>", text, flags=re.DOTALL)
    return f"'sha256-{base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()}'"


def add_documentation(app: FastAPI) -> None:
    """Let ``/docs`` show the OpenAPI description; its script and style come from a package, not from a CDN.

    Raises:
        MissingExtraError: The extra ``serve`` is not installed whole.
    """
    folder = Path(need("fastapi_offline", "serve").__file__).parent / "static"
    script, style = ASSETS
    page = get_swagger_ui_html(
        openapi_url="/openapi.json", title="recdistill: the API", swagger_js_url=script, swagger_css_url=style,
        swagger_favicon_url="data:,", swagger_ui_parameters={"defaultModelsExpandDepth": -1, "tryItOutEnabled": True},
    )  # fmt: skip

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        return Response(page.body, media_type="text/html", headers={"content-security-policy": _SWAGGER})

    for path, kind in ASSETS.items():
        _add_file(app, path, kind, folder / path.rpartition("/")[2])


def _add_file(app: FastAPI, path: str, kind: str, file: Path) -> None:
    @app.get(path, include_in_schema=False)
    async def asset() -> Response:
        return Response(file.read_bytes(), media_type=kind, headers=_KEPT)
