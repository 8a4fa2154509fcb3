-- Notices on their way to webhooks and mail addresses. Every `sealed` column is sealed by the service; times are Unix
-- milliseconds.
--
-- Whoever delivers a notice moves `due_at` ahead, by as long as it may take: nobody else takes it meanwhile, and if that node
-- dies it is due again by itself.

CREATE TABLE notices (
    number   INTEGER PRIMARY KEY,
    id       BLOB    NOT NULL,                                      -- random; receivers tell repetitions by it
    target   BLOB    NOT NULL,                                      -- keyed hash of where it goes
    at       INTEGER NOT NULL,                                      -- when it happened
    due_at   INTEGER NOT NULL,                                      -- when it is tried next
    attempts INTEGER NOT NULL DEFAULT 0,
    sealed   BLOB    NOT NULL
) STRICT;

CREATE INDEX notices_due ON notices (target, due_at);

CREATE INDEX notices_to_give_up ON notices (at);

-- What is to be said when a session expires, written when it is made: whoever sweeps can read no secret.
CREATE TABLE expiry_notices (
    session INTEGER NOT NULL REFERENCES sessions (number) ON DELETE CASCADE,
    target  BLOB    NOT NULL,
    id      BLOB    NOT NULL,
    sealed  BLOB    NOT NULL,
    PRIMARY KEY (session, target)
) STRICT, WITHOUT ROWID;
