//! The speed of pg_workflow beside a hand-written queue on the same server
