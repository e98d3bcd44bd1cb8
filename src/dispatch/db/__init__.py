"""Storage: engine, tables, dialects, outbox. The only place that begins or commits a transaction."""
