"""A test module's functions named test_* run in order and speak TAP.

    import tap
    def test_something(): "what it shows (requirement 3)"; assert ...
    tap.main(globals(), setup, teardown)

A test that raises tap.Skip("why") is left out, and says why.
"""
import sys
import time
import traceback


class Skip(Exception):
    pass


def main(names, setup=None, teardown=None):
    tests = [(n, f) for n, f in names.items()
             if n.startswith("test_") and callable(f)]
    only = sys.argv[1:]
    if only:
        tests = [(n, f) for n, f in tests if any(w in n for w in only)]
    bad = 0
    print(f"1..{len(tests)}", flush=True)
    try:
        if setup:
            setup()
        for i, (name, f) in enumerate(tests, 1):
            what = (f.__doc__ or name).strip().splitlines()[0]
            began = time.monotonic()
            try:
                f()
                took = time.monotonic() - began
                print(f"ok {i} - {what} # {took:.1f} s", flush=True)
            except Skip as why:
                print(f"ok {i} - {what} # SKIP {why}", flush=True)
            except BaseException:
                bad += 1
                print(f"not ok {i} - {what}", flush=True)
                for line in traceback.format_exc().splitlines():
                    print("# " + line, flush=True)
                if isinstance(sys.exc_info()[1], KeyboardInterrupt):
                    raise
    except BaseException:
        bad += 1
        print("not ok - set-up")
        for line in traceback.format_exc().splitlines():
            print("# " + line, flush=True)
    finally:
        if teardown:
            teardown()
    sys.exit(1 if bad else 0)
