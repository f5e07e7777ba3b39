"""`hatcheck-guest trust` with the real update-ca-certificates, keytool and
certutil: in a mount namespace of its own, over copies of this machine's
stores, of which nothing remains."""
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import tap  # noqa: E402
from harness import House, OUT, UID, as_user  # noqa: E402
from upstream import Upstream  # noqa: E402

KEY = "canary-" + secrets.token_hex(20)
BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
house = up = work = guest = other = None

# Copies over the stores, then what the test says.
PRIVATE = r"""
set -eu
for d in /etc/ssl /usr/local/share/ca-certificates /etc/ca-certificates \
    "$@"; do
	[ -d "$d" ] || continue
	mkdir -p "$TOP/$d"
	cp -a "$d/." "$TOP/$d/" 2>/dev/null || :
	mount --bind "$TOP/$d" "$d"
done
# keytool is slow: the distribution's keystore is for the test of Java alone.
[ "$#" -gt 0 ] || rm -rf /etc/ssl/certs/java
serve() {
	$AGENT serve --port 0 2>"$TOP/said" & serve=$!
	for i in $(seq 200); do
		grep -q serving "$TOP/said" && break
		sleep 0.05
	done
	port=$(sed -n 's/.*serving on 127.0.0.1://p' "$TOP/said")
}
"""


def setup():
    global house, up, work, guest, other
    up = Upstream(["api.demo.test"])
    up.answer = lambda r: (
        (200, {}, b"served\n")
        if r.header("authorization") == [f"Bearer {KEY}"]
        else (401, {}, b"no\n"))
    house = House()
    house.credential("demo", KEY, "--host", "api.demo.test")
    house.apply(house.grant_yaml("demo-api", up, credential="demo"))
    guest = house.session("trusting", "demo-api")
    other = house.session("next", "demo-api")
    work = Path(tempfile.mkdtemp(prefix="hck-trust-"))
    os.chmod(work, 0o755)
    for name, g in (("root.pem", guest), ("other.pem", other)):
        (work / name).write_text(g.ca())


def teardown():
    if house:
        house.close()
    if up:
        up.close()
    if work:
        shutil.rmtree(work, ignore_errors=True)


def inside(script, home="/nonexistent", more=(), path=None):
    """A guest's root shell, root of a user namespace: AGENT and OTHER speak
    to the two sessions, and may write what the shell made."""
    top = tempfile.mkdtemp(dir=work)
    agent = f"{house.bin}/hatcheck-guest"
    if os.getuid() == 0:
        subprocess.run(["chown", "-R", f"{UID}:{UID}", work], check=True)
    done = subprocess.run(
        as_user(["unshare", "--user", "--map-root-user", "--mount", "sh",
                 "-c", PRIVATE + script, "sh", *more]),
        capture_output=True, cwd="/",
        timeout=300, text=True, env={
            "PATH": path or "/usr/sbin:/usr/bin:/sbin:/bin", "TOP": top,
            "HOME": home, "ROOT": str(work / "root.pem"), "LANG": "C.UTF-8",
            "AGENT": f"{agent} --channel {guest.dir}",
            "OTHER": f"{agent} --channel {other.dir}"})
    shutil.rmtree(top, ignore_errors=True)
    return done


# One line for each place: is ROOT in it?
SEE = r"""
see() {
	awk '/BEGIN/ {b=""} {b=b $0} /END/ {print b}' \
	    /etc/ssl/certs/ca-certificates.crt > "$TOP/all"
	tr -d '\n' < "${1:-$ROOT}" > "$TOP/one"
	grep -cxF -f "$TOP/one" "$TOP/all" || :
}
"""


def test_nothing_remains_outside():
    "this machine's own stores are not touched by any of this"
    before = Path(BUNDLE).read_bytes()
    r = inside("$AGENT trust install; ls /usr/local/share/ca-certificates")
    assert r.returncode == 0 and "hatcheck-session.crt" in r.stdout, r
    assert Path(BUNDLE).read_bytes() == before
    assert not Path("/usr/local/share/ca-certificates/"
                    "hatcheck-session.crt").exists()


def test_system():
    "the system trusts the session after install, not after remove"
    r = inside(SEE + r"""
see; openssl verify "$ROOT" 2>&1 | tail -1
$AGENT trust install
see; openssl verify -CApath /etc/ssl/certs "$ROOT"
$AGENT trust install
see
$AGENT trust remove
see; openssl verify -CApath /etc/ssl/certs "$ROOT" 2>&1 | tail -1
ls /usr/local/share/ca-certificates /etc/ssl/certs | grep -c hatcheck || :
$AGENT trust remove
""")
    lines = r.stdout.splitlines()
    assert r.returncode == 0, r
    assert lines[0] == "0" and "failed" in lines[1], r
    at = lines.index("system: trusts this session")
    seen = [x for x in lines if x in ("0", "1", "2")]
    assert seen == ["0", "1", "1", "0", "0"], (seen, r)
    assert f"{work}/root.pem: OK" in lines[at:], r
    assert lines.count("system: trusts no session") == 2, r


def test_next_session():
    "the next session's root replaces the last one's"
    r = inside(SEE + r"""
$AGENT trust install >/dev/null; $OTHER trust install >/dev/null
see; see "${ROOT%root.pem}other.pem"
openssl verify -CApath /etc/ssl/certs "${ROOT%root.pem}other.pem"
""")
    assert r.returncode == 0 and r.stdout.split() == [
        "0", "1", f"{work}/other.pem:", "OK"], r


def test_plain_curl():
    "a program that knows no variable of ours then works through the bridge"
    r = inside(r"""
serve
ask() { curl -s -x "http://127.0.0.1:$port" https://api.demo.test/v1/x ||
    echo "curl: $?"; }
ask; $AGENT trust install >/dev/null; ask
python3 - "$port" <<'END'
import sys, urllib.request
p = urllib.request.ProxyHandler({"https": "http://127.0.0.1:" + sys.argv[1]})
print(urllib.request.build_opener(p).open(
    "https://api.demo.test/v1/x").read().decode(), end="")
END
https_proxy=http://127.0.0.1:$port $AGENT doctor
$AGENT trust remove >/dev/null; ask
kill $serve
""")
    lines = r.stdout.splitlines()
    assert lines[0] == "curl: 60" and lines[1:3] == ["served"] * 2, r
    doctor = lines[3:-1]
    assert len(doctor) == 8 and all(x.startswith("ok ") for x in doctor), r
    assert "trust: by the system" in r.stdout, r
    assert lines[-1] == "curl: 60", r


JAVA = r"""
import java.net.*; import java.io.*;
public class Ask {
	public static void main(String[] a) throws Exception {
		Proxy p = new Proxy(Proxy.Type.HTTP, new InetSocketAddress(
		    "127.0.0.1", Integer.parseInt(a[0])));
		try (BufferedReader r = new BufferedReader(new InputStreamReader(
		    new URL("https://api.demo.test/v1/x").openConnection(p)
		    .getInputStream()))) {
			System.out.println(r.readLine());
		} catch (javax.net.ssl.SSLException e) {
			System.out.println("untrusted");
			System.err.println(e);
		}
	}
}
"""


def test_java():
    "Java's keystore has it, and Java believes it, until it is removed"
    if not shutil.which("keytool"):
        raise tap.Skip("no keytool")
    store = work / "jdk" / "lib" / "security" / "cacerts"
    store.parent.mkdir(parents=True)
    # A keystore of our own, for a JDK that is not the distribution's.
    subprocess.run(["keytool", "-importcert", "-noprompt", "-alias", "some",
                    "-file", work / "other.pem", "-keystore", store,
                    "-storepass", "changeit"], check=True,
                   capture_output=True)
    (work / "Ask.java").write_text(JAVA)
    r = inside(f"export JAVA_HOME={work}/jdk\n" + r"""
list() { keytool -list -keystore "$JAVA_HOME/lib/security/cacerts" \
    -storepass changeit | grep -c trustedCertEntry; }
list; $AGENT trust install; list; $OTHER trust install >/dev/null; list
$AGENT trust install > /dev/null
serve
ask() { java -Djavax.net.ssl.trustStore="$JAVA_HOME/lib/security/cacerts" \
    -Djavax.net.ssl.trustStorePassword=changeit "$TOP/../Ask.java" "$port"; }
javac -version >/dev/null 2>&1 && ask || echo no compiler
$AGENT trust remove; list
javac -version >/dev/null 2>&1 && ask || echo no compiler
kill $serve
""", more=[str(work / "jdk")])
    lines = r.stdout.splitlines()
    name = f"java {store}"
    assert f"{name}: trusts this session" in lines, r
    assert f"{name}: trusts no session" in lines, r
    assert [x for x in lines if x.isdigit()] == ["1", "2", "2", "1"], r
    said = [x for x in lines if x in ("served", "untrusted", "no compiler")]
    assert said in (["served", "untrusted"], ["no compiler"] * 2), r


def test_nss():
    "an NSS database has it as a CA for servers, until it is removed"
    if not shutil.which("certutil"):
        raise tap.Skip("no certutil")
    home = work / "home"
    dbs = [home / ".pki" / "nssdb", home / ".mozilla" / "firefox" / "x.prof"]
    for db in dbs:
        db.mkdir(parents=True)
        subprocess.run(["certutil", "-N", "--empty-password", "-d",
                        f"sql:{db}"], check=True)
    list_all = "".join(f"certutil -L -d sql:{db} -n hatcheck-session -a "
                       "2>/dev/null | tr -d '\\r' | cmp -s - \"$ROOT\" && "
                       "echo there || echo not\n" for db in dbs)
    flags = f"certutil -L -d sql:{dbs[0]} | grep hatcheck-session || :\n"
    r = inside(list_all + "$AGENT trust install\n" + list_all + flags +
               "$OTHER trust install >/dev/null\n" + list_all +
               "$AGENT trust remove\n" + list_all, home=str(home))
    lines = r.stdout.splitlines()
    assert [x for x in lines if x in ("there", "not")] == \
        ["not"] * 2 + ["there"] * 2 + ["not"] * 4, r
    assert [x for x in lines if x.split()[-1] == "C,,"], r
    for db in dbs:
        assert f"nss {db}: trusts this session" in lines, r
        assert f"nss {db}: trusts no session" in lines, r


def test_missing_tools():
    "a store whose tool is missing is named, and the rest is done"
    bare = work / "bare"
    bare.mkdir()
    for tool in ("sh", "mkdir", "cp", "mount", "rm", "setpriv", "unshare"):
        (bare / tool).symlink_to(shutil.which(tool))
    r = inside("$AGENT trust install", home=str(work / "home"),
               path=str(bare))
    assert r.returncode == 0, r
    assert "there is no update-ca-certificates here" in r.stdout, r
    if (work / "home").exists():
        assert "there is no certutil here" in r.stdout, r


def test_failures():
    "what cannot be written or fails is said, with status 1"
    r = subprocess.run(
        as_user([str(house.bin / "hatcheck-guest"), "--channel", guest.dir,
                 "trust", "install"]), capture_output=True, text=True, cwd="/",
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/nonexistent"})
    assert r.returncode == 1 and "next: as root" in r.stderr, r
    fails = work / "fails"
    fails.mkdir()
    (fails / "update-ca-certificates").write_text(
        "#!/bin/sh\necho first\necho the disk is full >&2\nexit 3\n")
    os.chmod(fails / "update-ca-certificates", 0o755)
    r = inside("$AGENT trust install", path=f"{fails}:/usr/bin:/bin")
    assert r.returncode == 1 and \
        "update-ca-certificates failed (3): the disk is full" in r.stderr, r
    for words in ("trust", "trust both", "trust install remove"):
        r = inside(f"$AGENT {words}")
        assert r.returncode == 2, r


def test_unit():
    "the guest's unit names what is installed; systemd finds no fault"
    top = work / "inst"
    mode = ["SAN=1"] if OUT.name == "san" else []
    subprocess.run(["make", "-s", "install", f"DESTDIR={top}", *mode],
                   check=True, stdout=subprocess.DEVNULL)
    unit = top / "usr/local/lib/systemd/system/hatcheck-guest.service"
    text = unit.read_text()
    assert "@" not in text, text
    agent = top / "usr/local/bin/hatcheck-guest"
    assert agent.is_file() and "/usr/local/bin/hatcheck-guest serve" in text
    sh = top / "usr/local/share/hatcheck/hatcheck-guest.sh"
    subprocess.run(["sh", "-n", sh], check=True)
    if shutil.which("systemd-analyze"):
        copy = work / "hatcheck-guest.service"
        copy.write_text(text.replace("/usr/local/bin/hatcheck-guest",
                                     str(agent)))
        done = subprocess.run(["systemd-analyze", "verify", "--man=no", copy],
                              capture_output=True, text=True)
        assert copy.name not in done.stderr, done.stderr


if __name__ == "__main__":
    tap.main(globals(), setup, teardown)
