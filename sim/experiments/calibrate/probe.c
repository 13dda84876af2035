/*
 * What a program without privileges can measure of the machine it runs on (x86-64 Linux).
 *
 * usage: probe REPEATS
 * prints lines "NAME SAMPLE", one sample of one quantity each, in nanoseconds unless the name ends in "_hz" or "_count".
 * Repeats go round all quantities in turn, so that a slow phase of the machine spreads over all of them instead of
 * falling on one.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LINE 64
#define PAGE 4096
#define HUGE (2ul << 20)
#define MOST_CPUS 64

static int cpus[MOST_CPUS], ncpus;

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC_RAW, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}

static void say(const char *name, double value)
{
	printf("%s %.4f\n", name, value);
}

static void die(const char *what)
{
	perror(what);
	exit(1);
}

/* The CPUs that this process may use, in order. */
static void find_cpus(void)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set) != 0)
		die("sched_getaffinity");
	for (int i = 0; i < CPU_SETSIZE && ncpus < MOST_CPUS; i++)
		if (CPU_ISSET(i, &set))
			cpus[ncpus++] = i;
}

static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set) != 0)
		die("sched_setaffinity");
}

/* A chain of dependent additions takes one cycle each: this is the clock that the core really runs at. */
static void clock_rate(void)
{
	const long n = 20000000;
	uint64_t x = 0;
	double start = now();

	for (long i = 0; i < n / 20; i++)
		__asm__ volatile(
		    "add $1, %0\n\tadd $1, %0\n\tadd $1, %0\n\tadd $1, %0\n\tadd $1, %0\n\t"
		    "add $1, %0\n\tadd $1, %0\n\tadd $1, %0\n\tadd $1, %0\n\tadd $1, %0\n\t"
		    "add $1, %0\n\tadd $1, %0\n\tadd $1, %0\n\tadd $1, %0\n\tadd $1, %0\n\t"
		    "add $1, %0\n\tadd $1, %0\n\tadd $1, %0\n\tadd $1, %0\n\tadd $1, %0" : "+r"(x));
	say("clock_hz", n / (now() - start) * 1e9);
}

static void locked_update(void)
{
	static _Alignas(LINE) uint64_t word;
	const long n = 500000;
	double start = now();

	for (long i = 0; i < n; i++)
		__asm__ volatile("lock addq $1, %0" : "+m"(word));
	say("locked_rmw", (now() - start) / n);
}

static void spin_pause(void)
{
	const long n = 100000;
	double start = now();

	for (long i = 0; i < n; i++)
		__asm__ volatile("pause");
	say("pause", (now() - start) / n);
}

static uint64_t seed = 88172645463325252ull;

static uint64_t draw(void)
{
	seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
	return seed;
}

/*
 * Time of one step through a random cycle of count places, stride bytes apart.  With a stride of pages each place lies
 * in another line of its page, lest all of them fall into a few sets of the cache.
 */
static double chase(char *base, size_t count, size_t stride)
{
	size_t *order = malloc(count * sizeof(*order));
	void **place, **first;
	long steps = 400000;
	double start;

	if (order == NULL)
		die("malloc");
	for (size_t i = 0; i < count; i++)
		order[i] = i;
	for (size_t i = count - 1; i > 0; i--) {
		size_t j = draw() % (i + 1), t = order[i];
		order[i] = order[j], order[j] = t;
	}
#define AT(i) ((void **)(base + (i) * stride + (stride >= PAGE ? (i) % (PAGE / LINE) * LINE : 0)))
	for (size_t i = 0; i < count; i++)
		*AT(order[i]) = AT(order[(i + 1) % count]);
	first = place = AT(order[0]);
#undef AT
	free(order);
	do
		place = *place;
	while (place != first);
	start = now();
	for (long i = 0; i < steps; i++)
		place = *(void **volatile *)place;
	start = (now() - start) / steps;
	__asm__ volatile("" :: "r"(place));
	return start;
}

static char *map(size_t size, int advice)
{
	char *p = mmap(NULL, size + HUGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		die("mmap");
	p = (char *)(((uintptr_t)p + HUGE - 1) & ~(HUGE - 1));
	madvise(p, size, advice);
	memset(p, 1, size);
	return p;
}

static char *small_pages, *large_pages;
#define REGION (256ul << 20)

/* Loads by working set on large pages: the caches, with as little of the TLB as can be had. */
static void caches(void)
{
	static const struct { const char *name; size_t bytes; } sets[] = {
	    {"load_16k", 16 << 10}, {"load_128k", 128 << 10}, {"load_4m", 4 << 20}, {"load_256m", REGION}};

	for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++)
		say(sets[i].name, chase(large_pages, sets[i].bytes / LINE, LINE));
}

/* As many lines on as many small pages, less the same lines on large pages, is what translating adds. */
static void translations(void)
{
	static const size_t pages[] = {16, 256, 4096, 16384, 65536};
	char name[64];

	for (size_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++) {
		double small = chase(small_pages, pages[i], PAGE), large = chase(large_pages, pages[i], PAGE);
		snprintf(name, sizeof(name), "translate_%zu", pages[i]);
		say(name, small - large);
	}
}

static void null_call(void)
{
	const long n = 200000;
	double start = now();

	for (long i = 0; i < n; i++)
		syscall(SYS_getppid);
	say("null_call", (now() - start) / n);
}

static void page_fault(void)
{
	const size_t pages = 2048;
	char *p = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	double start;

	if (p == MAP_FAILED)
		die("mmap");
	madvise(p, pages * PAGE, MADV_NOHUGEPAGE);
	start = now();
	for (size_t i = 0; i < pages; i++)
		p[i * PAGE] = 1;
	say("page_fault", (now() - start) / pages);
	munmap(p, pages * PAGE);
}

/* A byte there and back between two processes on one CPU: two switches and four calls. */
static void pipe_round_trip(void)
{
	const int n = 4000;
	int there[2], back[2];
	char byte = 0;
	double start;
	pid_t child;

	if (pipe(there) != 0 || pipe(back) != 0)
		die("pipe");
	fflush(stdout);
	child = fork();
	if (child < 0)
		die("fork");
	if (child == 0) {
		close(there[1]);
		while (read(there[0], &byte, 1) == 1)
			if (write(back[1], &byte, 1) != 1)
				break;
		_exit(0);
	}
	start = now();
	for (int i = 0; i < n; i++)
		if (write(there[1], &byte, 1) != 1 || read(back[0], &byte, 1) != 1)
			die("pipe round trip");
	say("pipe_round_trip", (now() - start) / n);
	close(there[0]), close(there[1]), close(back[0]), close(back[1]);
	waitpid(child, NULL, 0);
}

static _Alignas(LINE) atomic_long turn;
static atomic_int stop, running;

static void *answer(void *cpu)
{
	pin(*(int *)cpu);
	atomic_store(&running, 1);
	for (long next = 1;; next += 2) {
		while (atomic_load(&turn) < next)
			if (atomic_load(&stop))
				return NULL;
		atomic_store(&turn, next + 1);
	}
}

/* A line there and back between this CPU and another; half of it is one transfer. */
static void line_transfer(int other)
{
	const long n = 100000;
	char name[64];
	pthread_t thread;
	double start;

	atomic_store(&turn, 0), atomic_store(&stop, 0), atomic_store(&running, 0);
	if (pthread_create(&thread, NULL, answer, &other) != 0)
		die("pthread_create");
	while (!atomic_load(&running))
		;
	start = now();
	for (long i = 0; i < n; i++) {
		atomic_store(&turn, 2 * i + 1);
		while (atomic_load(&turn) < 2 * i + 2)
			;
	}
	snprintf(name, sizeof(name), "line_%d_%d", cpus[0], other);
	say(name, (now() - start) / n / 2);
	atomic_store(&stop, 1);
	pthread_join(thread, NULL);
}

static void *spin(void *cpu)
{
	pin(*(int *)cpu);
	atomic_store(&running, 1);
	while (!atomic_load(&stop))
		;
	return NULL;
}

/* mmap, touch and munmap of one page: what the caller waits for. */
static double unmap_once(void)
{
	const int n = 2000;
	double start = now();

	for (int i = 0; i < n; i++) {
		char *p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (p == MAP_FAILED)
			die("mmap");
		*p = 1;
		munmap(p, PAGE);
	}
	return (now() - start) / n;
}

static void unmap_beside_thread(int other)
{
	pthread_t thread;

	say("unmap_alone", unmap_once());
	atomic_store(&stop, 0), atomic_store(&running, 0);
	if (pthread_create(&thread, NULL, spin, &other) != 0)
		die("pthread_create");
	while (!atomic_load(&running))
		;
	say("unmap_beside_thread", unmap_once());
	atomic_store(&stop, 1);
	pthread_join(thread, NULL);
}

int main(int argc, char **argv)
{
	int repeats = argc > 1 ? atoi(argv[1]) : 5;

	find_cpus();
	pin(cpus[0]);
	small_pages = map(REGION, MADV_NOHUGEPAGE);
	large_pages = map(REGION, MADV_HUGEPAGE);
	say("cpus_count", ncpus);
	for (int i = 0; i < repeats; i++) {
		clock_rate();
		locked_update();
		spin_pause();
		null_call();
		page_fault();
		pipe_round_trip();
		caches();
		translations();
		for (int other = 1; other < ncpus && other < 16; other++)
			line_transfer(cpus[other]);
		if (ncpus > 1)
			unmap_beside_thread(cpus[1]);
		fflush(stdout);
	}
	return 0;
}
