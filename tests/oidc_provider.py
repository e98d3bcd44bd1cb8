"""An OpenID Connect provider of its own process: ``python -m tests.oidc_provider PORT``.

Discovery, keys, authorization code with PKCE, and a token endpoint that forgets a code when it is used. Whoever
asks the page says who they are (``login``) and, in tests of the client, what shall be wrong (``fault``).
"""

import base64
import hashlib
import secrets
import sys
import time
from urllib.parse import parse_qsl, urlencode

import uvicorn
from joserfc import jwt
from joserfc.jwk import KeySet, OctKey, RSAKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

CLIENT_ID, CLIENT_SECRET = "dispatch", "the-secret-of-the-client"
FAULTS = {
    "issuer": {"iss": "https://another.example"},
    "audience": {"aud": "another-client"},
    "nonce": {"nonce": "another"},
    "expired": {"exp": 1},
    "subject": {"sub": None},
    "at_hash": {"at_hash": "nonsense"},
}


class Provider:
    """Its keys and the codes that are out."""

    def __init__(self, issuer: str) -> None:
        self.issuer = issuer
        self.codes: dict[str, dict[str, str]] = {}
        self.turn_keys()

    def turn_keys(self) -> None:
        """Sign with another key from now on; the old one is published no more."""
        self.key = RSAKey.generate_key(2048, parameters={"kid": secrets.token_hex(4), "use": "sig"})

    async def discovery(self, request: Request) -> Response:
        return JSONResponse(
            {
                "issuer": self.issuer,
                "authorization_endpoint": f"{self.issuer}/authorize",
                "token_endpoint": f"{self.issuer}/token",
                "jwks_uri": f"{self.issuer}/jwks",
            }
        )

    async def jwks(self, request: Request) -> Response:
        return JSONResponse(KeySet([self.key]).as_dict(private=False))

    async def turn(self, request: Request) -> Response:
        self.turn_keys()
        return JSONResponse({})

    async def authorize(self, request: Request) -> Response:
        asked = dict(request.query_params)
        assert (asked["client_id"], asked["response_type"], asked["scope"]) == (CLIENT_ID, "code", "openid")
        assert asked["code_challenge_method"] == "S256"
        code = secrets.token_urlsafe(24)
        self.codes[code] = asked
        back = urlencode({"code": code, "state": asked["state"]})
        return RedirectResponse(f"{asked['redirect_uri']}?{back}", 303)

    async def token(self, request: Request) -> Response:
        said = dict(parse_qsl((await request.body()).decode()))
        basic = base64.b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode()
        if request.headers.get("authorization") != f"Basic {basic}":
            return JSONResponse({"error": "invalid_client"}, 401)
        asked = self.codes.pop(said.get("code", ""), None)
        digest = hashlib.sha256(said.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        if asked is None or asked["code_challenge"] != challenge:
            return JSONResponse({"error": "invalid_grant"}, 400)
        if asked["redirect_uri"] != said.get("redirect_uri"):
            return JSONResponse({"error": "invalid_grant"}, 400)
        return JSONResponse(self.answer(asked))

    def answer(self, asked: dict[str, str]) -> dict[str, object]:
        now, access = int(time.time()), secrets.token_urlsafe(24)
        half = hashlib.sha256(access.encode()).digest()[:16]
        claims = {
            "iss": self.issuer,
            "sub": asked["login"],
            "aud": CLIENT_ID,
            "iat": now,
            "exp": now + 300,
            "nonce": asked["nonce"],
            "at_hash": base64.urlsafe_b64encode(half).decode().rstrip("="),
            **FAULTS.get(asked.get("fault", ""), {}),
        }
        header, key = {"alg": "RS256", "kid": self.key.kid}, self.key
        if asked.get("fault") == "signature":
            key = RSAKey.generate_key(2048)
        if asked.get("fault") == "symmetric":  # signed with a secret that both sides hold
            header, key = {"alg": "HS256"}, OctKey.import_key(CLIENT_SECRET)
        token = jwt.encode(header, claims, key, algorithms=["RS256", "HS256"])
        return {"access_token": access, "token_type": "Bearer", "expires_in": 300, "id_token": token}


def main() -> None:
    port = int(sys.argv[1])
    provider = Provider(f"http://127.0.0.1:{port}")
    routes = [
        Route("/.well-known/openid-configuration", provider.discovery),
        Route("/jwks", provider.jwks),
        Route("/turn", provider.turn, methods=["POST"]),
        Route("/authorize", provider.authorize),
        Route("/token", provider.token, methods=["POST"]),
    ]
    uvicorn.run(Starlette(routes=routes), host="127.0.0.1", port=port, log_level="critical")


if __name__ == "__main__":
    main()
