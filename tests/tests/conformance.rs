//! The recorded cases of the engine whose semantics the conductor follows.

#[test]
fn every_case_holds_or_departs_for_a_reason() {
    let held = pg_workflow_tests::conformance::run_all().expect("the cases can be read");
    assert_ne!(held, Some(false), "see the cases above");
}
