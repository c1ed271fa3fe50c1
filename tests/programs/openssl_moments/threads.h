/* Moments in which several threads have loops. */

static void *serves(void *argument)
{
	struct line *line = argument;
	int which;
	NEED((ep = epoll_create1(EPOLL_CLOEXEC)) >= 0);
	watch(line->pair.server);
	for (int i = 0; i < 3; i++) {
		ask(line, &which);
		serve(line, 1, 1000);
		check(line, which);
	}
	close(ep);
	return NULL;
}

/* A loop hands a connection over to another one's thread, and gets it back. */
static void handed_over(void)
{
	int which;
	struct line line = greeted();
	ask(&line, &which);
	serve(&line, 1, 1000);
	check(&line, which);
	NEED(epoll_ctl(ep, EPOLL_CTL_DEL, line.pair.server, NULL) == 0);
	pthread_t thread;
	NEED(pthread_create(&thread, NULL, serves, &line) == 0 && pthread_join(thread, NULL) == 0);
	watch(line.pair.server);
	for (int i = 0; i < 3; i++) {
		ask(&line, &which);
		serve(&line, 1, 1000);
		check(&line, which);
	}
	hang_up(&line);
}

static pthread_mutex_t one_connects = PTHREAD_MUTEX_INITIALIZER;

static void *is_a_loop(void *argument)
{
	(void)argument;
	NEED((ep = epoll_create1(EPOLL_CLOEXEC)) >= 0);
	for (int i = 0; i < 3; i++) {
		int which;
		pthread_mutex_lock(&one_connects);
		struct line line = line_with(servers);
		pthread_mutex_unlock(&one_connects);
		shake(&line);
		for (int j = 0; j < 2; j++) {
			ask(&line, &which);
			serve(&line, 1, 1000);
			check(&line, which);
		}
		hang_up(&line);
	}
	close(ep);
	return NULL;
}

/* Several loops, each with connections of its own, of the same contexts. */
static void threads(void)
{
	pthread_t loops[3];
	for (int i = 0; i < 3; i++)
		NEED(pthread_create(&loops[i], NULL, is_a_loop, NULL) == 0);
	for (int i = 0; i < 3; i++)
		NEED(pthread_join(loops[i], NULL) == 0);
}
