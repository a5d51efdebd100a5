"""`wsgi_cache` and `wsgi_store`: replies that nginx keeps."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness.processes import Process
from harness.wait import wait_until

PAGES = "wsgi_pass ${apps}/nginx/pages.wsgi;"


@pytest.fixture(scope="module")
def server(start_shared):
    return start_shared(
        f"""
        wsgi_cache_key $request_uri;
        add_header X-Cache $upstream_cache_status;
        location /app {{ {PAGES} wsgi_cache zone; wsgi_cache_valid 200 1m; }}
        location /plain {{ {PAGES} }}
        location /headers-decide {{ {PAGES} wsgi_cache zone; }}
        location /short {{
            {PAGES}
            wsgi_cache zone;
            wsgi_cache_valid 200 1s;
            wsgi_cache_use_stale error timeout http_500 updating;
        }}
        location /locked {{
            {PAGES}
            wsgi_cache zone;
            wsgi_cache_valid 200 1m;
            wsgi_cache_lock on;
        }}
        location /bypassed {{
            {PAGES}
            wsgi_cache zone;
            wsgi_cache_valid 200 1m;
            wsgi_cache_bypass $arg_fresh;
            wsgi_no_cache $arg_private;
        }}
        location /posts {{
            {PAGES}
            wsgi_cache zone;
            wsgi_cache_valid 200 1m;
            wsgi_cache_methods POST;
        }}
        location /second {{
            {PAGES} wsgi_cache zone; wsgi_cache_valid 200 1m; wsgi_cache_min_uses 2;
        }}
        location /background {{
            {PAGES}
            wsgi_cache zone;
            wsgi_cache_valid 200 1s;
            wsgi_cache_use_stale updating;
            wsgi_cache_background_update on;
        }}
        location /lock-age {{
            {PAGES}
            wsgi_cache zone;
            wsgi_cache_valid 200 1m;
            wsgi_cache_lock on;
            wsgi_cache_lock_age 100ms;
        }}
        location /lock-timeout {{
            {PAGES}
            wsgi_cache zone;
            wsgi_cache_valid 200 1m;
            wsgi_cache_lock on;
            wsgi_cache_lock_timeout 100ms;
        }}
        location /heads {{ wsgi_pass ${{apps}}/head_status.wsgi; wsgi_cache zone; wsgi_cache_valid 200 1m; }}
        location /heads/apart {{
            wsgi_pass ${{apps}}/head_status.wsgi;
            wsgi_cache zone;
            wsgi_cache_valid 200 1m;
            wsgi_cache_convert_head off;
            wsgi_cache_key $request_method$request_uri;
        }}
        location /offset {{
            {PAGES} wsgi_cache zone; wsgi_cache_valid 200 1m; wsgi_cache_max_range_offset 1000;
        }}
        location /files {{ wsgi_pass ${{apps}}/file_wrapper.wsgi; wsgi_cache zone; wsgi_cache_valid 200 1m; }}
        """,
        http="""
        wsgi_daemon_process g threads=4;
        wsgi_process_group g;
        wsgi_cache_path ${root}/cache keys_zone=zone:1m max_size=100m inactive=10m;
        """,
    )


def test_a_hit(server):
    first, second = server.get("/app/calls?a=hit"), server.get("/app/calls?a=hit")
    assert [first.headers["X-Cache"], second.headers["X-Cache"]] == ["MISS", "HIT"]
    assert first.text == second.text


def test_another_key(server):
    assert server.get("/app/calls?a=one").text != server.get("/app/calls?a=other").text


@pytest.mark.parametrize("size", [0, 100, 70_000, 5_000_000])
def test_what_is_kept_is_whole(server, letters, size):
    for state in ("MISS", "HIT"):
        response = server.get(f"/app/text?size={size}")
        assert (response.headers["X-Cache"], response.content) == (state, letters(size))


@pytest.mark.parametrize("size", [100, 3_000_000])
def test_a_file(server, size):
    replies = [server.get(f"/files/file?size={size}") for _ in range(3)]
    assert [reply.headers["X-Cache"] for reply in replies] == ["MISS", "HIT", "HIT"]
    assert len({reply.content for reply in replies}) == 1
    assert len(replies[0].content) == size


def test_blocks(server, letters):
    for state in ("MISS", "HIT"):
        response = server.get("/app/blocks?count=50&size=9000")
        assert (response.headers["X-Cache"], response.content) == (state, letters(9000) * 50)


def test_a_range_of_what_is_kept(server, letters):
    """Where the application says that it has ranges."""
    server.get("/app/text?size=50000&Accept-Ranges=bytes")
    response = server.get("/app/text?size=50000&Accept-Ranges=bytes", headers={"Range": "bytes=10-19"})
    assert (response.status_code, response.content) == (206, letters(50_000)[10:20])


def test_a_head_request(server):
    """Is asked as a GET, so that its reply can be kept."""
    server.request("HEAD", "/app/text?size=321")
    response = server.get("/app/text?size=321")
    assert (response.headers["X-Cache"], len(response.content)) == ("HIT", 321)


@pytest.mark.parametrize(("mount", "method"), [("heads", "GET"), ("heads/apart", "HEAD")])
def test_what_a_head_request_is_for_the_application(server, mount, method):
    response = server.request("HEAD", f"/{mount}/method")
    assert (response.headers["X-Method"], response.headers["X-Cache"]) == (method, "MISS")
    response = server.get(f"/{mount}/method")
    assert (response.text, response.headers["X-Cache"]) == ("GET", "HIT" if method == "GET" else "MISS")


@pytest.mark.parametrize(("mount", "passed"), [("app", None), ("offset", "bytes=1001-")])
def test_a_range_from_far_behind(server, mount, passed):
    """Is the application's affair, and what it answers is not kept."""
    for asked, seen in (("bytes=1001-", passed), ("bytes=999-", None)):
        url = f"/{mount}/environ?asked={asked}"
        replies = [server.get(url, headers={"Range": asked}) for _ in range(2)]
        assert [reply.json().get("HTTP_RANGE") for reply in replies] == [seen, seen]
        states = [reply.headers["X-Cache"] for reply in replies]
        assert states == (["MISS", "MISS"] if seen else ["MISS", "HIT"])


@pytest.mark.parametrize(
    ("query", "is_kept"),
    [
        ("Cache-Control=max-age%3D60", True),
        ("Cache-Control=no-store", False),
        ("Cache-Control=private", False),
        ("Cache-Control=max-age%3D0", False),
        ("X-Accel-Expires=60", True),
        ("X-Accel-Expires=0", False),
        ("Expires=Thu,+01+Jan+2099+00:00:00+GMT", True),
        ("Expires=Thu,+01+Jan+2015+00:00:00+GMT", False),
        ("Cache-Control=max-age%3D60&Set-Cookie=a%3D1", False),
        ("Cache-Control=max-age%3D60&Vary=*", False),
        ("", False),
    ],
)
def test_the_application_decides(server, query, is_kept):
    replies = [server.get(f"/headers-decide/calls?{query}") for _ in range(2)]
    assert (replies[0].text == replies[1].text) is is_kept


def test_vary(server):
    url = "/headers-decide/calls?Cache-Control=max-age%3D60&Vary=X-Kind"
    one, other, again = (server.get(url, headers={"X-Kind": kind}).text for kind in ("a", "b", "a"))
    assert one == again
    assert one != other


def test_what_is_old_is_asked_for_again(server):
    first = server.get("/short/calls?a=old").text
    wait_until(lambda: server.get("/short/calls?a=old").text != first, "the reply to expire")


@pytest.mark.provokes("the site is down")
@pytest.mark.allows(r"WSGI\d{4}")
def test_what_is_old_is_better_than_an_error(server):
    down = server.root / "site-is-down"
    url = f"/short/fragile?down={down}"
    assert server.get(url).text == "up"
    down.touch()
    responses = [server.get(url)]
    deadline = time.monotonic() + 15
    while responses[-1].headers["X-Cache"] == "HIT" and time.monotonic() < deadline:
        time.sleep(0.2)
        responses.append(server.get(url))
    assert responses[-1].headers["X-Cache"] == "STALE"
    assert {response.text for response in responses} == {"up"}


@pytest.mark.provokes(r"WSGI\d{4}")
@pytest.mark.allows("signal 9")
@pytest.mark.parametrize(
    "url", ["/short/mortal", "/headers-decide/mortal?Cache-Control=max-age%3D1,stale-if-error%3D60"]
)
def test_what_is_old_is_better_than_no_answer(server, url):
    """The process dies when it is asked again; the configuration says so, or the application itself."""
    assert server.get(url).text == "alive"
    time.sleep(2.1)
    since = server.error_log.position()
    response = server.get(url)
    assert (response.text, response.headers["X-Cache"]) == ("alive", "STALE")
    # By who looks after the processes, not by who answers.
    server.error_log.wait_for("WSGI1202", since)


def test_one_asks_for_all(server):
    with ThreadPoolExecutor(6) as pool:
        texts = {reply.text for reply in pool.map(lambda _: server.get("/locked/calls?a=lock"), range(6))}
    assert len(texts) == 1


@pytest.mark.parametrize(
    ("mount", "state"), [("locked", "HIT"), ("lock-age", "MISS"), ("lock-timeout", "MISS")]
)
def test_how_long_others_wait_for_the_one(server, mount, state):
    url = f"/{mount}/finite?size=5&block=5&after=3"
    with server.raw() as first:
        first.request(f"GET {url}")
        wait_until(lambda: server.busy() >= 2, "the application to be asked")
        time.sleep(0.2)
        assert server.get(url).headers["X-Cache"] == state
        assert first.read_head().get("X-Cache") == "MISS"


def test_what_is_old_is_used_while_it_is_renewed(server):
    """The client does not wait for the application, which is asked all the same."""
    url = "/background/finite?size=5&block=5&after=3"
    assert server.get(url).headers["X-Cache"] == "MISS"
    time.sleep(2.1)
    began = time.monotonic()
    assert server.get(url).headers["X-Cache"] == "STALE"
    assert time.monotonic() - began < 2
    wait_until(lambda: server.get(url).headers["X-Cache"] == "HIT", "the reply to be renewed")


def test_a_bypass(server):
    kept = server.get("/bypassed/calls?a=1").text
    assert server.get("/bypassed/calls?a=1").text == kept
    assert server.get("/bypassed/calls?a=1&fresh=1").text != kept
    assert server.get("/bypassed/calls?private=1").text != server.get("/bypassed/calls?private=1").text


def test_posts(server):
    texts = {server.post("/posts/calls?a=post", b"body").text for _ in range(3)}
    assert len(texts) == 1


def test_methods_of_an_inner_level_replace_those_of_the_outer(start):
    server = start(
        f"""
        wsgi_cache_methods POST;
        wsgi_cache_key $request_uri;
        location /inherits {{ {PAGES} }}
        location /replaces {{ {PAGES} wsgi_cache_methods GET; }}
        """,
        http="wsgi_cache_path ${root}/cache keys_zone=zone:1m; wsgi_cache zone; wsgi_cache_valid 200 1m;",
    )
    kept = [
        server.post(f"/{mount}/calls").text == server.post(f"/{mount}/calls").text
        for mount in ("inherits", "replaces")
    ]
    assert kept == [True, False]


def test_not_before_the_second_use(server):
    texts = [server.get("/second/calls?a=uses").text for _ in range(4)]
    assert texts[0] != texts[1]
    assert texts[1] == texts[2] == texts[3]


@pytest.mark.allows(r"WSGI\d{4}")
def test_a_hit_needs_no_process(start, letters):
    """Nor does it wait for one."""
    server = start(
        f"location /app {{ {PAGES} wsgi_cache zone; wsgi_cache_valid 200 1m; wsgi_cache_key $uri; }}",
        http="wsgi_daemon_process g threads=1; wsgi_process_group g;"
        "wsgi_cache_path ${root}/cache keys_zone=zone:1m;",
    )
    assert server.get("/app/text?size=9").content == letters(9)
    with server.raw() as busy:
        busy.request("GET /app/stepwise", "Connection: close")
        wait_until(lambda: server.busy() >= 2, "the thread to be taken")
        assert server.get("/app/text?size=9").content == letters(9)
        # The only thread is taken: nobody else can let it go but its process's end.
        (supervisor,) = server.supervisors()
        for worker in supervisor.children():
            Process.at(worker.pid).signal(9)
        assert not busy.read_to_end().endswith(b"second")
    assert server.get("/app/text?size=9").content == letters(9)


@pytest.fixture
def store(start):
    return start(
        f"""
        location /app {{ root ${{root}}/stored; try_files $uri @application; }}
        location /broken {{ root ${{root}}/stored; try_files $uri @broken; }}
        location @broken {{
            wsgi_pass ${{apps}}/exceptions.wsgi;
            wsgi_script_name /broken;
            root ${{root}}/stored;
            wsgi_store on;
        }}
        location @application {{
            {PAGES}
            wsgi_script_name /app;
            root ${{root}}/stored;
            wsgi_store on;
            wsgi_store_access user:rw group:r all:r;
        }}
        """,
        http="wsgi_daemon_process g; wsgi_process_group g;",
        folders=["stored"],
    )


def test_a_store(store, letters):
    """The second time it is a file."""
    assert store.get("/app/text?size=100000").content == letters(100_000)
    stored = store.root / "stored" / "app" / "text"
    assert wait_until(lambda: stored.exists() and stored.read_bytes(), "the reply to be stored") == letters(
        100_000
    )
    assert store.get("/app/text?size=5").content == letters(100_000)


@pytest.mark.provokes("WSGI0174", "ValueError: in the iteration")
def test_a_reply_that_broke_is_not_stored(store):
    with store.raw() as connection:
        connection.request("GET /broken/later")
        _head, body = connection.response()
        assert not body.is_complete
    store.settle()
    assert not (store.root / "stored" / "broken" / "later").exists()


def test_an_answer_that_still_holds(start, letters):
    """The application says so in a few words, and what is in nginx's cache is not taken for more of them.

    Nor when nginx has forgotten all but its files.
    """
    server = start(
        f"""
        add_header X-Cache $upstream_cache_status;
        location / {{
            {PAGES}
            wsgi_cache zone;
            wsgi_cache_key $request_uri;
            wsgi_cache_valid 200 3s;
            wsgi_cache_revalidate on;
        }}
        """,
        http="wsgi_cache_path ${root}/cache keys_zone=zone:1m;",
    )

    def ask() -> str:
        response = server.get("/tagged")
        assert response.content == letters(100)
        return response.headers["X-Cache"]

    assert ask() == "MISS"
    for _ in range(2):
        time.sleep(4.1)
        assert ask() == "REVALIDATED"
        assert ask() == "HIT"
    server.stop()
    time.sleep(4.1)
    server.start()
    assert ask() == "REVALIDATED"
    assert ask() == "HIT"
