//! What a pull request says of a run follows from what the run did.

use crate::world::World;

const NO_TESTS: &str = "touches no file of tests";

async fn body(world: &World) -> String {
    let pulls = world.pull_requests().await;
    assert_eq!(pulls.len(), 1, "{pulls:?}");
    pulls[0]["body"].as_str().unwrap().to_owned()
}

/// The agent writes a test in its first call, and nothing when it is asked for tests.
#[tokio::test(flavor = "multi_thread")]
async fn tests_that_the_agent_wrote_unasked_are_not_denied() {
    for (script, is_said) in [
        ("[ -e greeting.py ] || { echo x > greeting.py; echo y > test_greeting.py; }", false),
        // The control: the sentence is said where it is true.
        ("[ -e greeting.py ] || echo x > greeting.py", true),
    ] {
        let mut world = World::new().await;
        world.agent(script);
        let issue = world.task("Add a greeting", "").await;
        let ran = world.work().await;
        assert_eq!(ran.code, Some(0), "{ran:?}");
        let body = body(&world).await;
        assert_eq!(body.contains(NO_TESTS), is_said, "{body}");
        world.check_done(issue).await;
    }
}
