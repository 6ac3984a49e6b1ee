//! JWT.
pub struct Jwt; pub struct JwtAlgorithm; pub struct JwtConfigError;
