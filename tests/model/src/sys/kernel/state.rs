//! What the kernel knows: numbers, files, and what is ready.

use super::*;

impl Kernel {
    pub(super) fn file(&self, fd: i32) -> Result<usize, Errno> {
        let number = usize::try_from(fd).map_err(|_| Errno::BADF)?;
        self.numbers
            .get(number)
            .copied()
            .flatten()
            .ok_or(Errno::BADF)
    }

    pub(super) fn socket(&mut self, fd: i32) -> Result<&mut Socket, Errno> {
        let file = self.file(fd)?;
        match &mut self.files[file].kind {
            Kind::Socket(socket) => Ok(socket),
            Kind::Epoll(_) => Err(Errno::NOTSOCK),
        }
    }

    pub(super) fn epoll(&mut self, fd: i32) -> Result<&mut Epoll, Errno> {
        let file = self.file(fd)?;
        match &mut self.files[file].kind {
            Kind::Epoll(epoll) => Ok(epoll),
            Kind::Socket(_) => Err(Errno::INVAL),
        }
    }

    pub(super) fn ready(&self, file: usize) -> u32 {
        match &self.files[file].kind {
            Kind::Socket(socket) => socket.ready(),
            Kind::Epoll(epoll) => {
                let rings = epoll.real.iter().any(|r| self.reports(r) != 0);
                if rings {
                    IN
                } else {
                    0
                }
            }
        }
    }

    /// What a registration has to tell.
    pub(super) fn reports(&self, registration: &Registration) -> u32 {
        let Registration {
            events,
            file,
            disarmed,
            due,
            ..
        } = *registration;
        let due = if events & EDGE != 0 { due } else { u32::MAX };
        if disarmed || due == 0 {
            return 0;
        }
        self.ready(file) & (events | ERR | HUP)
    }

    pub(super) fn lowest(&mut self, least: usize) -> usize {
        let free = (least..).find(|&number| self.numbers.get(number).copied().flatten().is_none());
        let number = free.unwrap();
        let count = self.numbers.len().max(number + 1);
        self.numbers.resize(count, None);
        number
    }

    pub(super) fn open(&mut self, kind: Kind) -> i32 {
        let number = self.lowest(FIRST);
        self.files.push(File { kind, numbers: 1 });
        self.numbers[number] = Some(self.files.len() - 1);
        number as i32
    }

    pub(super) fn share(&mut self, file: usize, number: usize) -> i32 {
        self.numbers[number] = Some(file);
        self.files[file].numbers += 1;
        number as i32
    }

    pub(super) fn close(&mut self, fd: i32) -> Result<(), Errno> {
        let file = self.file(fd)?;
        self.numbers[fd as usize] = None;
        self.claimed.remove(&fd);
        self.files[file].numbers -= 1;
        if self.files[file].numbers == 0 {
            for other in &mut self.files {
                if let Kind::Epoll(epoll) = &mut other.kind {
                    epoll.real.retain(|r| r.file != file);
                    epoll.asked.retain(|r| r.file != file);
                }
            }
            self.files[file].kind = Kind::Epoll(Epoll {
                ours: true,
                ..Epoll::default()
            });
        }
        Ok(())
    }

    /// The readiness of a socket has changed.
    pub(super) fn change(&mut self, fd: i32, change: impl FnOnce(&mut Socket)) {
        let Ok(socket) = self.socket(fd) else { return };
        change(socket);
        socket.edges += 1;
        let file = self.file(fd).unwrap();
        for other in &mut self.files {
            if let Kind::Epoll(epoll) = &mut other.kind {
                let lists = epoll.real.iter_mut().chain(&mut epoll.asked);
                lists
                    .filter(|r| r.file == file)
                    .for_each(|r| r.due = u32::MAX);
            }
        }
    }

    /// A call and reports of a descriptor cross: for a moment it is known under the one cookie or the other.
    pub(super) fn cross(&mut self, fd: i32) {
        let Ok(file) = self.file(fd) else { return };
        let late = self.under_way(fd, file);
        for other in &mut self.files {
            if let Kind::Epoll(epoll) = &mut other.kind {
                let its = epoll
                    .asked
                    .iter_mut()
                    .filter(|r| (r.fd, r.file) == (fd, file));
                its.for_each(|r| r.late += late);
            }
        }
    }

    /// A report to this thread is not under way any more.
    pub(super) fn leave(&mut self, fd: i32, file: usize) {
        let thread = current::me();
        let its = UnderWay { thread, fd, file };
        if let Some(at) = self.under_way.iter().position(|other| *other == its) {
            self.under_way.swap_remove(at);
        }
    }

    /// Whether the application has registered this by another number of the instance.
    pub(super) fn is_alias(&self, epoll: usize, instance: i32, fd: i32, file: usize) -> bool {
        let Kind::Epoll(epoll) = &self.files[epoll].kind else {
            return false;
        };
        let mut asked = epoll.asked.iter();
        asked.any(|r| (r.fd, r.file) == (fd, file) && r.instance != instance)
    }

    /// How many reports of a registration are under way to other threads.
    pub(super) fn under_way(&self, fd: i32, file: usize) -> usize {
        let me = current::me();
        let is_its = |w: &&UnderWay| w.thread != me && (w.fd, w.file) == (fd, file);
        self.under_way.iter().filter(is_its).count()
    }

    pub(super) fn edges(&self, file: usize) -> u64 {
        match &self.files[file].kind {
            Kind::Socket(socket) => socket.edges,
            Kind::Epoll(_) => 0,
        }
    }

    /// The events of up to so many registrations.
    pub(super) fn collect(&mut self, instance: i32, most: usize) -> Result<Vec<Reported>, Errno> {
        let epoll = self.file(instance)?;
        let count = self.epoll(instance)?.real.len();
        let mut reported = Vec::new();
        for index in 0..count {
            let Kind::Epoll(state) = &self.files[epoll].kind else {
                break;
            };
            let events = self.reports(&state.real[index]);
            if events == 0 || reported.len() == most {
                continue;
            }
            let Registration {
                fd,
                file,
                data,
                generation,
                ..
            } = state.real[index];
            let edges = self.edges(file);
            reported.push(Reported {
                instance,
                events,
                data,
                epoll,
                fd,
                file,
                generation,
                edges,
            });
            let found = &mut self.epoll(instance)?.real[index];
            found.due = 0;
            found.disarmed = found.events & ONESHOT != 0;
            let thread = current::me();
            self.under_way.push(UnderWay { thread, fd, file });
            let crosses = usize::from(self.calls.contains(&fd));
            let epoll = self.epoll(instance)?;
            let its = |r: &&mut Registration| (r.fd, r.file) == (fd, file);
            let asked = epoll.asked.iter_mut().find(its);
            asked.into_iter().for_each(|r| r.late += crosses);
        }
        // The next wait begins with the others.
        if count > 0 {
            self.epoll(instance)?
                .real
                .rotate_left(reported.len() % count);
        }
        Ok(reported)
    }
}
