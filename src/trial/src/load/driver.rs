//! Drives the connections of one load: one thread, one epoll instance, one buffer.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant};

use anyhow::{ensure, Context, Result};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

use super::connection::{Connection, Progress};
use super::outcome::{histogram, Failures, Outcome};
use super::request::{Kind, Request};
use super::source::{At, Source};
use super::stream::Transport;
use crate::files::FileSet;
use crate::interrupt;

const TIMER: Token = Token(usize::MAX);

/// How often interrupts and overdue answers are looked for.
const TICK: Duration = Duration::from_millis(100);

/// Where a load goes and how long an answer may take.
pub struct Load<'a> {
    /// The server.
    pub address: SocketAddr,
    /// How its connections are made.
    pub transport: &'a Transport,
    /// How many connections there are.
    pub connections: usize,
    /// Do they ask for answers that are coded by gzip?
    pub takes_gzip: bool,
    /// The files that are asked for.
    pub set: &'a FileSet,
    /// A request not answered after so long has failed.
    pub patience: Duration,
}

/// Drives `load` until `source` has nothing more and all that was sent is answered or has failed.
pub fn run(load: &Load<'_>, source: &mut dyn Source) -> Result<Outcome> {
    Driver::new(load, source)?.run()
}

struct Driver<'a, 's> {
    load: &'a Load<'a>,
    source: &'s mut dyn Source,
    poll: Poll,
    timer: TimerFd,
    connections: Vec<Connection>,
    /// For each connection, when it has something to send.
    wakes: Vec<Option<Instant>>,
    /// Connections with a request outstanding or to come.
    active: usize,
    start: Instant,
    /// When the source first had nothing more, and what was completed until then, requests and bytes: what is completed from
    /// then on is the tail, not the rate.
    ended: Option<(Instant, u64, u64)>,
    completed: u64,
    bytes: u64,
    failures: Failures,
    reconnects: u64,
    latency: hdrhistogram::Histogram<u64>,
}

impl<'a, 's> Driver<'a, 's> {
    fn new(load: &'a Load<'a>, source: &'s mut dyn Source) -> Result<Self> {
        let poll = Poll::new()?;
        // The wait call counts milliseconds, which is as long as a cached answer takes; the timer counts nanoseconds.
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_NONBLOCK)?;
        let fd = timer.as_fd().as_raw_fd();
        poll.registry()
            .register(&mut SourceFd(&fd), TIMER, Interest::READABLE)?;
        let mut connections: Vec<_> = (0..load.connections)
            .map(|i| Connection::new(Token(i), load.takes_gzip))
            .collect();
        for connection in &mut connections {
            connection
                .connect(load.transport, load.address, poll.registry())
                .with_context(|| format!("cannot connect to the server at {}", load.address))?;
        }
        Ok(Self {
            load,
            source,
            poll,
            timer,
            wakes: vec![None; connections.len()],
            active: connections.len(),
            connections,
            start: Instant::now(),
            ended: None,
            completed: 0,
            bytes: 0,
            failures: Failures::default(),
            reconnects: 0,
            latency: histogram(),
        })
    }

    fn run(mut self) -> Result<Outcome> {
        let mut events = Events::with_capacity(256);
        self.shake_hands(&mut events)?;
        let mut buffer = vec![0; 256 << 10];
        self.start = Instant::now();
        self.source.begin(self.start);
        for index in 0..self.connections.len() {
            self.advance(index, Instant::now())?;
        }
        let mut tick = Instant::now() + TICK;
        while self.active > 0 {
            self.arm_timer()?;
            match self.poll.poll(&mut events, Some(TICK)) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => result?,
            }
            for event in &events {
                match event.token() {
                    TIMER => self.wake()?,
                    Token(index) => self.receive(index, &mut buffer)?,
                }
            }
            let now = Instant::now();
            if now >= tick {
                tick = now + TICK;
                interrupt::check()?;
                self.give_up_overdue(now)?;
            }
        }
        let (ended, completed_in_time, bytes_in_time) =
            self.ended
                .unwrap_or((Instant::now(), self.completed, self.bytes));
        Ok(Outcome {
            completed: self.completed,
            completed_in_time,
            bytes: self.bytes,
            bytes_in_time,
            time: ended - self.start,
            elapsed: self.start.elapsed(),
            failures: self.failures,
            reconnects: self.reconnects,
            latency: self.latency,
        })
    }

    /// Waits until all connections can be used: their handshakes are no part of what is measured.
    fn shake_hands(&mut self, events: &mut Events) -> Result<()> {
        let limit = Instant::now() + self.load.patience;
        loop {
            let mut done = true;
            for connection in &mut self.connections {
                done &= connection.shake_hands().context("no TLS session")?;
            }
            if done {
                return Ok(());
            }
            interrupt::check()?;
            let address = self.load.address;
            ensure!(
                Instant::now() < limit,
                "no TLS session with {address} in time"
            );
            match self.poll.poll(events, Some(TICK)) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => result?,
            }
        }
    }

    fn receive(&mut self, index: usize, buffer: &mut [u8]) -> Result<()> {
        match self.connections[index].receive(buffer) {
            Progress::Pending => return Ok(()),
            Progress::Answered(outstanding) => {
                let now = Instant::now();
                self.completed += 1;
                self.bytes += outstanding.body_length() as u64;
                self.latency
                    .saturating_record((now - outstanding.due).as_nanos() as u64);
                return self.advance(index, now);
            }
            Progress::Reset => self.completed += 1,
            Progress::ClosedBetween(outstanding) => {
                self.reconnects += 1;
                return self.send(index, outstanding.request, outstanding.due);
            }
            Progress::ClosedIdle => {
                // The next request will reconnect.
                self.reconnects += 1;
                return Ok(());
            }
            Progress::Failed(how) => self.failures.add(how),
        }
        self.advance(index, Instant::now())
    }

    /// Lets a connection without a request do what the source says.
    fn advance(&mut self, index: usize, now: Instant) -> Result<()> {
        self.wakes[index] = None;
        match self.source.next(index, now) {
            At::Now { request, due } => self.send(index, request, due)?,
            At::Later(at) => self.wakes[index] = Some(at),
            At::Never => {
                self.ended.get_or_insert((now, self.completed, self.bytes));
                self.active -= 1;
            }
        }
        Ok(())
    }

    fn send(&mut self, index: usize, request: Request, due: Instant) -> Result<()> {
        let registry = self.poll.registry();
        let connection = &mut self.connections[index];
        if !connection.is_connected() {
            connection
                .connect(self.load.transport, self.load.address, registry)
                .with_context(|| format!("cannot reconnect to {}", self.load.address))?;
        }
        if connection.send(request, due, self.load.set).is_err() {
            // Closed by the server since its last answer, which a new connection puts right.
            self.reconnects += 1;
            connection.connect(self.load.transport, self.load.address, registry)?;
            connection
                .send(request, due, self.load.set)
                .context("cannot send on a new connection")?;
        }
        if request.kind == Kind::ResetAtOnce {
            connection.reset();
            self.completed += 1;
            // Not by recursion: a long row of these would need a stack as long.
            self.wakes[index] = Some(Instant::now());
        }
        Ok(())
    }

    fn arm_timer(&mut self) -> Result<()> {
        let Some(at) = self.wakes.iter().flatten().min() else {
            return Ok(());
        };
        // Zero would disarm it.
        let wait = at
            .saturating_duration_since(Instant::now())
            .max(Duration::from_nanos(1));
        let expiration = Expiration::OneShot(TimeSpec::from_duration(wait));
        Ok(self.timer.set(expiration, TimerSetTimeFlags::empty())?)
    }

    fn wake(&mut self) -> Result<()> {
        // Setting it anew makes it unread as well, and then there is nothing to read.
        let _ = self.timer.wait();
        let now = Instant::now();
        for index in 0..self.wakes.len() {
            if self.wakes[index].is_some_and(|at| at <= now) {
                self.advance(index, now)?;
            }
        }
        Ok(())
    }

    fn give_up_overdue(&mut self, now: Instant) -> Result<()> {
        for index in 0..self.connections.len() {
            let overdue = self.connections[index]
                .outstanding()
                .is_some_and(|request| now - request.sent > self.load.patience);
            if overdue {
                self.failures
                    .add(format!("no answer in {} s", self.load.patience.as_secs()));
                self.connections[index].disconnect();
                self.advance(index, now)?;
            }
        }
        Ok(())
    }
}
