//! API keys and TOTP over HTTP, as clients of serverless-mfa-api use them: the honest path, every refusal of the seeds, and
//! what a stranger, another tenant or a careless client can send.

mod api_keys;
mod peers;
mod stage;
mod totps;
