pub struct SqliteStore; pub struct SqliteError;
