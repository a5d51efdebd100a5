use super::*;

const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// A process at work: its keeper, what there is to see, and a clock that stands still.
struct Scene {
    keeper: Keeper,
    start: Instant,
    active: Vec<Active>,
    observed: Observed<'static>,
}

impl Scene {
    fn new(limits: Limits, threads: u32) -> Self {
        let start = Instant::now();
        let keeper = Keeper::new(limits, threads, start);
        Self { keeper, start, active: Vec::new(), observed: Observed::default() }
    }

    /// A request that begins at second `at`.
    fn begin(&mut self, thread: usize, at: u64) {
        let since = self.start + seconds(at);
        self.observed.first_request.get_or_insert(since);
        self.observed.last_activity = Some(since);
        self.active.push(Active { thread, turn: at, since });
    }

    /// The request of this thread ends at second `at`.
    fn finish(&mut self, thread: usize, at: u64) {
        self.observed.last_activity = Some(self.start + seconds(at));
        self.active.retain(|active| active.thread != thread);
    }

    fn look(&mut self, at: u64) -> Step {
        let observed = Observed { active: &self.active, ..self.observed };
        self.keeper.look(self.start + seconds(at), &observed)
    }

    fn end(&mut self, reason: Reason, at: u64) -> Step {
        let observed = Observed { active: &self.active, ..self.observed };
        self.keeper.end(reason, self.start + seconds(at), &observed)
    }

    fn next_look(&self) -> Option<u64> {
        let observed = Observed { active: &self.active, ..self.observed };
        self.keeper.next_look(&observed).map(|when| (when - self.start).as_secs())
    }
}

fn graceful() -> Limits {
    Limits { graceful: Some(seconds(15)), ..Limits::default() }
}

#[test]
fn without_limits_a_process_lives_on() {
    let mut scene = Scene::new(Limits::default(), 1);
    scene.begin(0, 0);
    assert_eq!((scene.look(1_000_000), scene.next_look()), (Step::Stay, None));
}

#[test]
fn a_restart_interval_drains_what_is_under_way() {
    let limits = Limits { restart_interval: Some(seconds(60)), ..graceful() };
    let mut scene = Scene::new(limits, 2);
    scene.begin(0, 59);
    assert_eq!((scene.look(59), scene.next_look()), (Step::Stay, Some(60)));
    assert_eq!(scene.look(60), Step::Drain(Reason::RestartInterval));
    assert_eq!((scene.look(74), scene.next_look()), (Step::Stay, Some(75)));
    assert_eq!(scene.look(75), Step::Stop(Reason::RestartInterval));
    assert_eq!((scene.look(76), scene.next_look()), (Step::Stay, None));
}

#[test]
fn a_drain_ends_with_the_last_request_and_an_idle_process_needs_none() {
    let limits = Limits { restart_interval: Some(seconds(60)), ..graceful() };
    let mut scene = Scene::new(limits, 2);
    scene.begin(0, 59);
    assert_eq!(scene.look(60), Step::Drain(Reason::RestartInterval));
    scene.finish(0, 62);
    assert_eq!(scene.look(62), Step::Stop(Reason::RestartInterval));
    assert_eq!(Scene::new(limits, 2).look(60), Step::Stop(Reason::RestartInterval));
}

#[test]
fn a_graceful_timeout_of_zero_waits_for_nobody() {
    let mut scene = Scene::new(Limits::default(), 1);
    scene.begin(0, 0);
    assert_eq!(scene.end(Reason::CpuTimeLimit, 1), Step::Stop(Reason::CpuTimeLimit));
}

#[test]
fn inactivity_counts_from_the_first_request_and_never_during_one() {
    let mut scene = Scene::new(Limits { inactivity: Some(seconds(10)), ..graceful() }, 1);
    assert_eq!((scene.look(100), scene.next_look()), (Step::Stay, None));
    scene.begin(0, 100);
    assert_eq!((scene.look(150), scene.next_look()), (Step::Stay, None));
    scene.finish(0, 150);
    assert_eq!((scene.look(159), scene.next_look()), (Step::Stay, Some(160)));
    assert_eq!(scene.look(160), Step::Stop(Reason::InactivityTimeout));
}

#[test]
fn a_script_has_to_load_in_time() {
    let limits = Limits { startup: Some(seconds(5)), ..graceful() };
    let mut scene = Scene::new(limits, 1);
    assert_eq!(scene.look(50), Step::Stay);
    scene.begin(0, 50);
    assert_eq!((scene.look(54), scene.next_look()), (Step::Stay, Some(55)));
    assert_eq!(scene.look(55), Step::Stop(Reason::StartupTimeout));
    let mut scene = Scene::new(limits, 1);
    scene.begin(0, 0);
    scene.observed.is_loaded = true;
    assert_eq!((scene.look(100), scene.next_look()), (Step::Stay, None));
}

#[test]
fn a_lock_that_cannot_be_had_ends_the_process_even_while_it_drains() {
    let limits = Limits { deadlock: Some(seconds(30)), ..graceful() };
    let mut scene = Scene::new(limits, 1);
    scene.begin(0, 0);
    scene.observed.waiting_for_lock = Some(scene.start + seconds(10));
    assert_eq!((scene.look(39), scene.next_look()), (Step::Stay, Some(40)));
    assert_eq!(scene.look(40), Step::Stop(Reason::DeadlockTimeout));
    let mut scene = Scene::new(limits, 1);
    scene.begin(0, 0);
    scene.observed.waiting_for_lock = Some(scene.start);
    assert_eq!(scene.end(Reason::ScriptReload, 29), Step::Drain(Reason::ScriptReload));
    assert_eq!(scene.look(30), Step::Stop(Reason::ScriptReload));
}

#[test]
fn a_long_request_ends_the_process_when_it_is_the_only_one() {
    let mut scene = Scene::new(Limits { request: Some(seconds(10)), ..graceful() }, 1);
    scene.begin(0, 0);
    assert_eq!(scene.look(10), Step::Stay);
    // It is stale, so nobody waits for it.
    assert_eq!(scene.look(11), Step::Stop(Reason::RequestTimeout));
}

#[test]
fn others_may_finish_beside_a_long_request() {
    let mut scene = Scene::new(Limits { request: Some(seconds(10)), ..graceful() }, 2);
    scene.begin(0, 0);
    scene.begin(1, 16);
    // 10 * (1 + ln 2) is 16.9.
    assert_eq!(scene.look(16), Step::Stay);
    assert_eq!(scene.look(17), Step::Drain(Reason::RequestTimeout));
    assert_eq!(scene.look(20), Step::Stay);
    scene.finish(1, 20);
    assert_eq!(scene.look(20), Step::Stop(Reason::RequestTimeout));
}

#[test]
fn an_interrupt_comes_first_and_one_at_a_time() {
    let limits = Limits { request: Some(seconds(10)), interrupt: Some(seconds(3)), ..graceful() };
    let mut scene = Scene::new(limits, 1);
    scene.begin(0, 0);
    scene.begin(1, 0);
    let (first, second) = (scene.active[0], scene.active[1]);
    assert_eq!(scene.look(11), Step::Interrupt(first));
    assert_eq!(scene.look(11), Step::Stay);
    assert_eq!(scene.look(12), Step::Interrupt(second));
    scene.finish(0, 13);
    scene.begin(0, 13);
    assert_eq!(scene.look(14), Step::Stay, "another request on the same thread");
    assert_eq!(scene.look(15), Step::Drain(Reason::RequestTimeout));
    scene.finish(0, 16);
    assert_eq!(scene.look(16), Step::Stop(Reason::RequestTimeout), "the other one is stale");
}

#[test]
fn an_interrupted_request_that_ends_changes_nothing() {
    let limits = Limits { request: Some(seconds(10)), interrupt: Some(seconds(3)), ..graceful() };
    let mut scene = Scene::new(limits, 1);
    scene.begin(0, 0);
    assert!(matches!(scene.look(11), Step::Interrupt(_)));
    scene.finish(0, 12);
    assert_eq!(scene.look(60), Step::Stay);
}

#[test]
fn the_last_allowed_request_has_all_its_time() {
    let mut scene = Scene::new(graceful(), 2);
    scene.begin(0, 0);
    scene.begin(1, 0);
    assert_eq!(scene.end(Reason::MaximumRequests, 0), Step::Drain(Reason::MaximumRequests));
    assert_eq!((scene.look(100), scene.next_look()), (Step::Stay, None));
    scene.finish(1, 100);
    scene.observed.is_last_over = true;
    assert_eq!((scene.look(100), scene.next_look()), (Step::Stay, Some(115)));
    assert_eq!(scene.look(110), Step::Stay, "the deadline stays where it is");
    assert_eq!(scene.look(115), Step::Stop(Reason::MaximumRequests));
}

#[test]
fn signals_have_windows_of_their_own() {
    let limits = Limits { eviction: Some(seconds(2)), ..graceful() };
    let mut scene = Scene::new(limits, 1);
    scene.begin(0, 0);
    assert_eq!(scene.end(Reason::EvictionSignal, 1), Step::Drain(Reason::EvictionSignal));
    assert_eq!(scene.next_look(), Some(3));
    let mut scene = Scene::new(graceful(), 1);
    scene.begin(0, 0);
    assert_eq!(scene.end(Reason::EvictionSignal, 1), Step::Drain(Reason::EvictionSignal));
    assert_eq!(scene.next_look(), Some(16));
    assert_eq!(scene.end(Reason::ShutdownSignal, 2), Step::Stop(Reason::ShutdownSignal));
    assert_eq!(scene.end(Reason::ShutdownSignal, 2), Step::Stay);
}

#[test]
fn a_second_reason_can_only_shorten_a_drain() {
    let limits = Limits { eviction: Some(seconds(2)), ..graceful() };
    let mut scene = Scene::new(limits, 1);
    scene.begin(0, 0);
    assert_eq!(scene.end(Reason::ScriptReload, 0), Step::Drain(Reason::ScriptReload));
    assert_eq!(scene.end(Reason::GracefulSignal, 10), Step::Stay);
    assert_eq!(scene.next_look(), Some(15));
    assert_eq!(scene.end(Reason::EvictionSignal, 10), Step::Stay);
    assert_eq!(scene.look(12), Step::Stop(Reason::ScriptReload));
}
