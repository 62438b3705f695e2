"""The function by which analysts name a time of tokens: they are cut into days by their ids."""

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

# The least UUIDv7 of a millisecond (RFC 9562 §5.7: its 48 bits come first). Of a constant it is computed once, before
# the partitions are chosen.
_FUNCTION = """
CREATE FUNCTION reporting.first_token(since timestamptz) RETURNS uuid LANGUAGE sql STABLE STRICT PARALLEL SAFE AS $$
SELECT CAST(encode(substring(int8send(CAST(floor(extract(epoch FROM since) * 1000) AS bigint)) FROM 3)
                   || decode(repeat('00', 10), 'hex'), 'hex') AS uuid)
$$
"""


def upgrade() -> None:
    op.execute(_FUNCTION)
    op.execute(
        "COMMENT ON FUNCTION reporting.first_token IS"
        " 'The least token_id of that time: token_id >= first_token(since) AND token_id < first_token(until)'"
    )


def downgrade() -> None:
    op.execute("DROP FUNCTION reporting.first_token")
