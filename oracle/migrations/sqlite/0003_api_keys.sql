-- API keys of applications, the keys that their data are sealed under, and their users' TOTP secrets. Every `sealed` column
-- is sealed by the service; times are Unix milliseconds.
--
-- A record names the data key that it is sealed under, never the API key: who owns the data key owns the record. So a
-- rotation moves data keys and touches no record.

CREATE TABLE api_keys (
    number       INTEGER PRIMARY KEY,
    id           BLOB    NOT NULL UNIQUE,                           -- keyed hash of the value that clients send
    created_at   INTEGER NOT NULL,
    activated_at INTEGER,
    revoked_at   INTEGER,
    secret_hash  BLOB,                                              -- keyed hash of the API secret
    sealed       BLOB    NOT NULL
) STRICT;

CREATE TABLE data_keys (
    number     INTEGER PRIMARY KEY,
    id         BLOB    NOT NULL UNIQUE,
    api_key    INTEGER NOT NULL REFERENCES api_keys (number),
    created_at INTEGER NOT NULL,
    by_secret  BLOB    NOT NULL,                                    -- wrapped under the API secret; empty until it is known
    by_root    BLOB    NOT NULL                                     -- wrapped under the root secret
) STRICT;

CREATE INDEX data_keys_owner ON data_keys (api_key);

-- How many records a data key seals, kept in slots so that records made at once need not wait for one row.
CREATE TABLE record_counts (
    data_key INTEGER NOT NULL REFERENCES data_keys (number),
    kind     TEXT    NOT NULL CHECK (kind IN ('totp', 'webauthn')),
    slot     INTEGER NOT NULL,
    records  INTEGER NOT NULL,
    PRIMARY KEY (data_key, kind, slot)
) STRICT, WITHOUT ROWID;

CREATE TABLE totps (
    number       INTEGER PRIMARY KEY,
    id           BLOB    NOT NULL UNIQUE,                           -- keyed hash of its UUID
    data_key     INTEGER NOT NULL REFERENCES data_keys (number),
    created_at   INTEGER NOT NULL,
    last_step    INTEGER NOT NULL,                                  -- only later time steps are accepted
    failures     INTEGER NOT NULL DEFAULT 0,                        -- wrong codes since the last right one
    failed_at    INTEGER NOT NULL DEFAULT 0,                        -- when the last of them came
    locked_until INTEGER NOT NULL DEFAULT 0,
    sealed       BLOB    NOT NULL
) STRICT;
