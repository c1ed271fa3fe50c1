/* Runs a random program of socket, epoll, poll, select, dup, close, fork and file calls, and prints all that it observes.
 *
 *     interpreter record|replay EARLY DOCUMENTS <PROGRAM
 *
 * A program is lines of a word and up to three numbers (see `words`). Numbers choose among what is open, modulo how many
 * there are, so that every program means something and goes on meaning something while it is made smaller. The peer is
 * this same process, by raw system calls that no preloaded library sees, and waits until what it did has arrived: nothing
 * depends on time.
 *
 * A kernel may answer EAGAIN on a non-blocking connection where nobody was told that it is ready, transfer less than it
 * could, and report readiness later. Where a transfer is *early*, that is, answers EAGAIN or moves less although there are
 * bytes or room, the run that records notes its number and its result in EARLY. The run that replays has the same result
 * there, so that both are in the same state at every step. What each wait tells is noted as well: the run that replays has
 * the kernel's own answer, and shows the recorded one where that is what a kernel may tell, too (see `is_legal`).
 *
 * Lines that begin with an exclamation mark are wrong whatever another run shows: "! spurious" is a call that answers
 * EAGAIN after a wait reported that it would not, "! refused" a write that may not be refused.
 *
 *     interpreter/world.h        the program's descriptors and registrations, and the peer
 *     interpreter/waits.h        waits, and what they may tell
 *     interpreter/transfers.h    reads and writes, and which of them may be early
 *     interpreter/bad.h          calls that fail
 *     interpreter/descriptors.h  copies and ends of descriptors
 *     interpreter/files.h        documents
 *     interpreter/steps.h        all other steps */
#include "interpreter/bad.h"
#include "interpreter/steps.h"
#include <ctype.h>

enum {
	STEPS = 1000,
	LIMIT = 30, /* seconds */
};

static const struct {
	const char *word;
	void (*step)(int a, int b, int c);
} words[] = {
	{ "connect", do_connect },	   { "request", do_request },	{ "warm", do_warm },	   { "part", do_part },
	{ "hello", do_hello },		   { "finish", do_finish },	{ "leave", do_leave },	   { "got", do_got },
	{ "accept", do_accept },	   { "nonblock", do_nonblock }, { "add", do_add },	   { "mod", do_mod },
	{ "del", do_del },		   { "wait", do_wait },		{ "poll", do_poll },	   { "select", do_select },
	{ "read", do_read },		   { "receive", do_receive },	{ "serve", do_serve },	   { "write", do_write },
	{ "look", do_look },		   { "open", do_open },		{ "stat", do_stat },	   { "file", do_file },
	{ "sendfile", do_sendfile },	   { "dup", do_dup },		{ "dup2", do_dup2 },	   { "close", do_close },
	{ "close_range", do_close_range }, { "pass", do_pass },		{ "shutdown", do_shutdown }, { "pipe", do_pipe },
	{ "pour", do_pour },		   { "drink", do_drink },	{ "instance", do_instance },
	{ "pause", do_pause },		   { "cold", do_cold },		{ "packets", do_packets }, { "answer", do_answer },
	{ "stream", do_stream },	   { "splice", do_splice },	{ "mark", do_mark },	   { "ticks", do_ticks },
	{ "bad_read", do_bad_read },	   { "bad_write", do_bad_write }, { "bad_wait", do_bad_wait },
};

static struct step {
	char word[20];
	int a, b, c;
} steps[STEPS];

/* Runs steps; `fork N` has a child run the next N. */
static void run(int from, int to)
{
	for (int i = from; i < to; i++) {
		struct step *step = &steps[i];
		if (!strcmp(step->word, "fork")) {
			int end = i + 1 + step->a < to ? i + 1 + step->a : to, status = -1;
			fflush(stdout);
			pid_t child = is_child ? -1 : fork();
			if (child == 0) {
				is_child = 1;
				alarm(LIMIT);
				run(i + 1, end);
				fflush(stdout);
				_exit(end % 100);
			}
			if (child > 0)
				waitpid(child, &status, 0);
			printf("child %x\n", status);
			i = end - 1;
			continue;
		}
		size_t w = 0;
		while (w < sizeof words / sizeof *words && strcmp(words[w].word, step->word))
			w++;
		NEED(w < sizeof words / sizeof *words);
		printf("%d. ", i);
		words[w].step(step->a, step->b, step->c);
		printf("\n");
	}
}

static void wait_everywhere(void)
{
	for (int fd = 0; fd < NUMBERS; fd++)
		if (numbers[fd].kind == INSTANCE)
			wait_once(fd, 0, 0);
}

/* Each connection gets a byte more, and all who want to hear of that must: those are armed, and it is an edge. */
static void tell_everybody(void)
{
	int one = 1, missing = 0;
	long sent[CONNECTIONS];
	for (int c = 0; c < world->connected; c++) {
		int fd = number_of(c);
		if (fd >= 0)
			syscall(SYS_setsockopt, fd, SOL_SOCKET, SO_RCVLOWAT, &one, sizeof one);
	}
	for (int i = 0; i < registered; i++)
		registrations[i].pending = 0;
	for (int c = 0; c < world->connected; c++) {
		sent[c] = world->connections[c].sent;
		peer_sends(c, "x", 1);
	}
	wait_everywhere();
	for (long begin = now(); now() - begin <= PATIENCE; usleep(500)) {
		missing = -1;
		for (int i = 0; i < registered; i++) {
			struct registration *registration = &registrations[i];
			int c = registration->connection;
			if (c < 0 || registration->pending || !(registration->events & EPOLLIN) || !is_due(registration))
				continue;
			/* Where no byte could come any more, the end may have been told long ago. */
			if (registration->events & EPOLLET &&
			    (world->connections[c].sent == sent[c] || polled(registration->fd, POLLRDHUP)))
				continue;
			missing = i;
			struct epoll_event events[64];
			heard(events, epoll_wait(instance_of(registration), events, 64, 1));
		}
		if (missing < 0)
			return;
	}
	WRONG("%d is never told of by registration %d", registrations[missing].fd, missing);
}

/* The end of every program: nothing may be lost. Each connection gets a byte more, must be told of, and be read to its
 * end and written to; and once more, when nothing is held any longer. */
static void drain(void)
{
	for (int round = 0; round < 2; round++) {
		printf("drain\n");
		tell_everybody();
		for (int fd = 0; fd < NUMBERS; fd++)
			if (numbers[fd].kind == CONNECTION) {
				receive(fd);
				if (held_writing[numbers[fd].connection] == fd)
					put_own(fd, WRITE, 1);
			}
		wait_everywhere();
	}
	for (int c = 0; c < world->connected; c++)
		show_answer(c);
}

/* A listening socket whose name the kernel chooses. */
static int listener_of_packets(void)
{
	socklen_t length = sizeof packet_address;
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	packet_address.sun_family = AF_UNIX;
	NEED(bind(fd, (struct sockaddr *)&packet_address, sizeof packet_address.sun_family) == 0 && listen(fd, 50) == 0);
	NEED(getsockname(fd, (struct sockaddr *)&packet_address, &length) == 0);
	return fd;
}

/* Reads what the recorded run noted: its early transfers, and what its waits told. */
static void read_log(const char *path)
{
	FILE *log = fopen(path, "r");
	char what;
	int number, value, at = 0;
	NEED(log);
	while (fscanf(log, " %c %d %d", &what, &number, &value) == 3) {
		if (what == 't') {
			NEED(number < TRANSFERS);
			world->early[number] = value + FROM_HERE;
			continue;
		}
		NEED(number < WAITS && at + value <= TOLD);
		world->recorded[number].first = at;
		world->recorded[number].count = value;
		for (; value > 0; value--, at++)
			NEED(fscanf(log, "%d %u", &world->told[at].key, &world->told[at].events) == 2);
	}
	fclose(log);
}

/* Makes this thread an event loop, which leaves nothing open. */
static void become_event_loop(void)
{
	struct epoll_event event = { .events = EPOLLIN };
	struct pair pair = { client_of(&address), 0 };
	int instance = epoll_create1(EPOLL_CLOEXEC);
	pair.server = accepted_by(chosen(ONE(LISTENER), 0));
	NEED(epoll_ctl(instance, EPOLL_CTL_ADD, pair.server, &event) == 0);
	for (int i = 0; i < 3; i++)
		NEED(epoll_wait(instance, &event, 1, 0) == 0);
	close(pair.client);
	close(pair.server);
	close(instance);
}

int main(int argc, char **argv)
{
	if (argc < 4)
		return 2;
	documents = argv[3];
	alarm(LIMIT);
	signal(SIGPIPE, SIG_IGN);
	is_engaged(argc, argv);
	replaying = !strcmp(argv[1], "replay");
	world = mmap(NULL, sizeof *world, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	NEED(world != MAP_FAILED);
	memset(held, -1, sizeof held);
	memset(held_writing, -1, sizeof held_writing);
	memset(own, 'o', sizeof own);
	if (replaying)
		read_log(argv[2]);
	int log = open(argv[2], replaying ? O_RDONLY : O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0644);
	NEED(log >= 0 && dup2(log, NUMBERS) == NUMBERS);
	close(log);
	early_log = NUMBERS;
	/* A host of its own: whoever looks for a server of his on a port of 127.0.0.1 would be accepted in the peer's place. */
	name(listener_on(INADDR_LOOPBACK + 0x10000 + (getpid() & 0x3fffff), &address), LISTENER, -1);
	packet_listener = listener_of_packets();
	name(packet_listener, LISTENER, -1);
	become_event_loop();
	do_instance(0, 0, 0);
	do_instance(0, 0, 0);
	int count = 0;
	char line[200];
	while (count < STEPS && fgets(line, sizeof line, stdin)) {
		struct step *step = &steps[count];
		/* Behind a program that failed stands what was wrong. */
		if (line[0] == '\n' && count > 0)
			break;
		count += sscanf(line, "%19s %d %d %d", step->word, &step->a, &step->b, &step->c) > 0 && isalpha(line[0]);
	}
	run(0, count);
	drain();
	descriptors("at last");
	return 0;
}
