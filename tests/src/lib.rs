//! Integration tests of pg_workflow against throwaway servers

pub mod conformance;
