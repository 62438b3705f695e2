"""Access tokens (JWTs) of an OpenID Connect provider: whom they stand for, by keys that the provider publishes.

``bearers`` asks ``domain/jwt`` what a token says, ``provider`` for the key, the key (``jwks``) for the signature, and
the database for the tenant. Only ``fetch`` talks to the outside, and only to what the configuration names.
"""
