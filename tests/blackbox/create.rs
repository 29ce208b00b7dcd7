//! A container's ordinary life.

use conward_testkit::{Launch, Place, Script, Step, conward};

#[test]
fn exit_status_of_the_container_is_recorded_everywhere() {
    for (last, number, status) in
        [(Step::Exit(0), "0", 0), (Step::Exit(7), "7", 7), (Step::Die(9), "137", 137)]
    {
        let place = Place::new(conward());
        place.script(&Script::of([Step::AwaitStart, Step::out("hello\n"), last]));
        let mut running = Launch::create(&place).start().created();
        place.start_container();
        assert_eq!(running.status(), status);
        assert_eq!(place.exit_file().as_deref(), Some(number));
        assert_eq!(place.persist_exit().as_deref(), Some(number));
        assert_eq!(place.log_records().len(), 1);
        running.no_more_messages();
    }
}
