//! Random programs.

use super::*;

/// A thread's steps.
pub fn run(steps: &[Step], of_loop: Option<&Loop>) {
    let mut steps = steps.iter();
    while let Some(step) = steps.next() {
        match step {
            Step::Interrupt => {
                if let (Some(outer), Some(first), Some(second)) =
                    (steps.next(), steps.next(), steps.next())
                {
                    interrupted(outer, [first, second]);
                }
            }
            step => take(step, of_loop),
        }
    }
}

/// A signal handler comes in the middle of a call, before or after the kernel has been asked: where it has the lock of a
/// connection. Where signals are kept off, it comes when the call is over.
fn interrupted(outer: &Step, inner: [&Step; 2]) {
    let Step::Control(operation, events, which, fd) = outer else {
        return take(outer, None);
    };
    let (Some(instance), Some(fd)) = (instance(*which), connection(*fd)) else {
        return;
    };
    let before = thread_rng().gen();
    let has_come = Cell::new(false);
    let comes = |now: bool| {
        if now && !has_come.get() && !mask::is_shielded() {
            has_come.set(true);
            kernel::aside(|| inner.iter().for_each(|step| take(step, None)));
        }
    };
    let data = cookie(fd, 1);
    let mut event = epoll_event {
        events: *events,
        u64: data,
    };
    let call = Control {
        instance,
        operation: *operation,
        fd,
        events: *events,
        data,
    };
    kernel::application_control(call, |real| {
        let real = || {
            comes(before);
            let result = real();
            comes(true);
            result
        };
        registration::registered(real, instance, *operation, fd, &raw mut event)
    });
    comes(true);
}

fn take(step: &Step, of_loop: Option<&Loop>) {
    trace(step, true);
    match *step {
        Step::Control(operation, events, which, fd) => {
            if let (Some(instance), Some(fd)) = (instance(which), connection(fd)) {
                control(instance, operation, fd, events, cookie(fd, events & 7));
            }
        }
        Step::Close(fd) => {
            if let Some(fd) = connection(fd).filter(|fd| kernel::claim(*fd)) {
                close(fd);
            }
        }
        Step::Dup(fd) => {
            if let Some(fd) = connection(fd) {
                duplicate(fd);
            }
        }
        Step::Dup2(fd, onto) => {
            if let (Some(fd), Some(onto)) = (connection(fd), connection(onto)) {
                if fd == onto || kernel::claim(onto) {
                    descriptor::replaced(|| kernel::dup2(fd, onto), fd, onto);
                }
            }
        }
        Step::Accept(peer) => {
            accept(peer);
        }
        Step::Peer(fd, peer) => {
            if let Some(fd) = connection(fd) {
                kernel::of_peer(fd, |socket| peer.act(socket));
            }
        }
        Step::DupInstance(which) => {
            if let Some(fd) = instance(which) {
                duplicate(fd);
            }
        }
        Step::Wait(time, which) => {
            if let Some(state) = of_loop {
                state.wait(time, which);
            }
        }
        Step::Send(fd) => {
            if let (Some(state), Some(fd)) = (of_loop, connection(fd)) {
                state.send(fd);
            }
        }
        Step::Read(fd) => {
            if let (Some(state), Some(fd)) = (of_loop, connection(fd)) {
                state.read(fd);
            }
        }
        Step::Interrupt => {}
    }
}

/// Some steps, at random.
pub fn steps(count: usize, waits: bool, signals: bool) -> Vec<Step> {
    let mut random = thread_rng();
    let mut steps = Vec::new();
    while steps.len() < count {
        let step = if waits && random.gen_bool(0.6) {
            loop_step(&mut random)
        } else {
            any_step(&mut random)
        };
        if signals && random.gen_bool(0.2) {
            let inner = || any_step(&mut thread_rng());
            let inner = [inner(), inner()];
            steps.push(Step::Interrupt);
            steps.push(control_step(&mut random));
            steps.extend(inner);
        } else {
            steps.push(step);
        }
    }
    steps
}

fn loop_step(random: &mut impl Rng) -> Step {
    match random.gen_range(0..10) {
        0 => Step::Send(random.gen_range(0..4)),
        1 => Step::Read(random.gen_range(0..4)),
        2..=4 => Step::Wait(Time4::Short, random.gen_range(0..3)),
        _ => Step::Wait(Time4::Zero, random.gen_range(0..3)),
    }
}

fn control_step(random: &mut impl Rng) -> Step {
    let flags = [0, 0, EDGE, ONESHOT, EDGE | ONESHOT, EXCLUSIVE];
    let interests = [IN, IN, IN | OUT, OUT, 0];
    let operation = [ADD, MOD, MOD, DEL][random.gen_range(0..4)];
    let mut events = flags[random.gen_range(0..6)] | interests[random.gen_range(0..5)];
    if events & EXCLUSIVE == 0 && random.gen_bool(0.3) {
        events |= RDHUP;
    }
    let instance = if random.gen_bool(0.7) {
        0
    } else {
        random.gen_range(0..3)
    };
    Step::Control(operation, events, instance, random.gen_range(0..4))
}

fn peer(random: &mut impl Rng) -> Peer {
    match random.gen_range(0..10) {
        0..=4 => Peer::Sends { cold: true },
        5 => Peer::Sends { cold: false },
        6 => Peer::Ends,
        7 => Peer::Resets,
        _ => Peer::Takes {
            full: random.gen(),
            cold: random.gen(),
        },
    }
}

fn any_step(random: &mut impl Rng) -> Step {
    let fd = random.gen_range(0..4);
    match random.gen_range(0..20) {
        0..=7 => control_step(random),
        8 | 9 => Step::Close(fd),
        10 => Step::Dup(fd),
        11 => Step::Dup2(fd, random.gen_range(0..4)),
        12..=14 => Step::Accept(peer(random)),
        15..=17 => Step::Peer(fd, peer(random)),
        _ => Step::DupInstance(random.gen_range(0..3)),
    }
}
