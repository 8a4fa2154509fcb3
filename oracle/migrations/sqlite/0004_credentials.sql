-- Security keys of applications' users, by U2F and WebAuthn, and the ceremonies that are under way. Every `sealed` column is
-- sealed by the service under the data key that its row names; times are Unix milliseconds.
--
-- `owner` is a keyed hash of the user's UUID. Two API keys may know the same UUID: their users have nothing in common.

CREATE TABLE credentials (
    number       INTEGER PRIMARY KEY,
    owner        BLOB    NOT NULL,
    data_key     INTEGER NOT NULL REFERENCES data_keys (number),
    id           BLOB    NOT NULL,                                      -- keyed hash of the credential id's hash
    kind         INTEGER NOT NULL CHECK (kind IN (0, 1)),               -- 0 WebAuthn, 1 U2F
    created_at   INTEGER NOT NULL,
    counter      INTEGER NOT NULL,                                      -- the last one seen; -1 before the first
    failures     INTEGER NOT NULL DEFAULT 0,                            -- wrong signatures since the last right one
    failed_at    INTEGER NOT NULL DEFAULT 0,                            -- when the last of them came
    locked_until INTEGER NOT NULL DEFAULT 0,
    sealed       BLOB    NOT NULL,
    UNIQUE (owner, data_key, id)
) STRICT;

CREATE TABLE ceremonies (
    number     INTEGER PRIMARY KEY,
    owner      BLOB    NOT NULL,
    data_key   INTEGER NOT NULL REFERENCES data_keys (number),
    act        INTEGER NOT NULL CHECK (act BETWEEN 0 AND 3),        -- U2F: 0 register, 1 sign; WebAuthn: 2 register, 3 login
    challenge  BLOB    NOT NULL,                                    -- digest of it
    expires_at INTEGER NOT NULL,
    sealed     BLOB    NOT NULL,
    UNIQUE (owner, data_key, act, challenge)
) STRICT;

-- So that a rotation sees whether two API keys have a user of the same UUID.
CREATE INDEX credentials_by_data_key ON credentials (data_key, owner);

CREATE INDEX ceremonies_to_forget ON ceremonies (expires_at);
