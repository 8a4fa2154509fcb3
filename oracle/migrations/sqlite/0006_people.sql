-- People and applications that log in, teams of them, providers of second factors, and tickets. Every `sealed` column and every
-- `verifier` is sealed by the service under the root secret; times are Unix milliseconds.
--
-- An `id` is random and names its row for good: whoever gets a removed principal's name gets nothing else of it. What binds a
-- row to a principal beyond its id (`bound`) is a keyed hash, so that whoever can write here can lend nobody else's rights.

CREATE TABLE principals (
    number      INTEGER PRIMARY KEY,
    id          BLOB    NOT NULL UNIQUE,
    name        BLOB    NOT NULL UNIQUE,                            -- keyed hash of the full name
    kind        INTEGER NOT NULL CHECK (kind BETWEEN 0 AND 2),      -- 0 user, 1 application, 2 team
    role        INTEGER NOT NULL CHECK (role BETWEEN 0 AND 2),      -- 0 member, 1 auditor, 2 operator
    version     INTEGER NOT NULL,                                   -- grows whenever what a login rests on changes
    created_at  INTEGER NOT NULL,
    enrolled_at INTEGER,                                            -- when its password or secret was set
    disabled_at INTEGER,
    verifier    BLOB,                                               -- what its password or secret is checked with
    sealed      BLOB    NOT NULL
) STRICT;

-- One-time links with which users set their password; one at a time for each.
CREATE TABLE links (
    principal  BLOB    NOT NULL PRIMARY KEY REFERENCES principals (id) ON DELETE CASCADE,
    hash       BLOB    NOT NULL UNIQUE,                             -- keyed hash of the link
    bound      BLOB    NOT NULL,                                    -- the same together with the principal
    expires_at INTEGER NOT NULL
) STRICT;

CREATE TABLE members (
    team   BLOB NOT NULL REFERENCES principals (id) ON DELETE CASCADE,
    member BLOB NOT NULL REFERENCES principals (id) ON DELETE CASCADE,
    bound  BLOB NOT NULL,                                           -- keyed hash of both
    PRIMARY KEY (team, member)
) STRICT;

CREATE INDEX members_teams ON members (member);

CREATE TABLE providers (
    number     INTEGER PRIMARY KEY,
    id         BLOB    NOT NULL UNIQUE,
    name       BLOB    NOT NULL UNIQUE,                             -- keyed hash of the name
    version    INTEGER NOT NULL,                                    -- grows with each update
    created_at INTEGER NOT NULL,
    sealed     BLOB    NOT NULL
) STRICT;

-- The provider that a principal has been assigned, one at most. Its id is bound into the principal's verifier: without this
-- row, or with another, no password opens anything.
CREATE TABLE factors (
    principal   BLOB    NOT NULL PRIMARY KEY REFERENCES principals (id) ON DELETE CASCADE,
    id          BLOB    NOT NULL UNIQUE,
    provider    BLOB    NOT NULL REFERENCES providers (id),
    assigned_at INTEGER NOT NULL,
    last_step   INTEGER NOT NULL,                                   -- TOTP: only later time steps are accepted
    sealed      BLOB    NOT NULL
) STRICT;

CREATE INDEX factors_of_provider ON factors (provider);

CREATE TABLE recovery_codes (
    factor BLOB NOT NULL REFERENCES factors (id) ON DELETE CASCADE,
    hash   BLOB NOT NULL,                                           -- keyed hash of factor and code
    PRIMARY KEY (factor, hash)
) STRICT;

-- Failed logins by name, whether there is such a principal or not.
CREATE TABLE login_failures (
    name         BLOB    NOT NULL PRIMARY KEY,                      -- keyed hash of the full name
    failures     INTEGER NOT NULL,
    failed_at    INTEGER NOT NULL,
    locked_until INTEGER NOT NULL
) STRICT;

CREATE INDEX login_failures_to_forget ON login_failures (failed_at);

CREATE TABLE tickets (
    hash       BLOB    NOT NULL PRIMARY KEY,                        -- keyed hash of the ticket
    principal  BLOB    NOT NULL REFERENCES principals (id) ON DELETE CASCADE,
    bound      BLOB    NOT NULL,                                    -- the same together with the principal
    created_at INTEGER NOT NULL,
    used_at    INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;

CREATE INDEX tickets_of ON tickets (principal, created_at);

CREATE INDEX tickets_to_forget ON tickets (expires_at);
