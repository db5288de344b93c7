#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Judge the console of a kernel that ran KUnit suites.

Counts the leaf results of the KTAP in a log, and takes for a failure
whatever a careless reader could miss: a crash in the middle, a plan that
was not fulfilled, a suite that should have run and did not, and reports of
the kernel's own checkers. Prints one line per suite, the lines around
failures, and at the end "P passed, F failed, S skipped".
"""

import argparse
import re
import sys

PREFIX = re.compile(r'^(?:<\d+>)?\[ *\d+\.\d+\](?:\[ *[TC]\d+\])? ?')
RESULT = re.compile(r'^( *)(not )?ok (\d+)(?: -)? ?(.*?)(?: # (SKIP|TODO)\b(.*))?$')
PLAN = re.compile(r'^( *)1\.\.(\d+)$')
SUBTEST = re.compile(r'^( *)# Subtest: (.*)$')

# What the kernel's checkers say. None of it is normal in a test.
SPLAT = re.compile(
    r'WARNING: |BUG: |\bKASAN: |\bKCSAN: |\bKFENCE: |UBSAN: |ODEBUG: |DEBUG_LOCKS_WARN_ON|'
    r'INFO: (?:task|rcu|trying|lockdep)|(?:possible|potential) .*(?:deadlock|locking)|'
    r'suspicious RCU usage|inconsistent lock state|bad unlock balance|held lock freed|'
    r'lock held when returning|[Ii]nvalid wait context|circular locking|recursive locking|'
    r'detected stalls|self-detected stall|soft lockup|hard LOCKUP|'
    r'unreferenced object|new suspected memory leaks|'
    r'list_(?:add|del) corruption|refcount_t: |general protection fault|'
    r'Unable to handle kernel|Kernel panic|\bOops\b|Internal error|stack-protector|'
    r'Segmentation fault|scheduling while atomic|sleeping function called|'
    r'Bad page state|Poison overwritten|Redzone')


class Node:
    """One result line, with what was nested in it."""

    def __init__(self, name):
        self.name = name
        self.ok = True
        self.skip = False
        self.plan = None
        self.children = []

    def leaves(self):
        """Count (passed, failed, skipped) below, this node included."""
        if self.skip and self.ok:
            return 0, 0, 1
        if not self.children:
            return (1, 0, 0) if self.ok else (0, 1, 0)
        total = tuple(map(sum, zip(*(c.leaves() for c in self.children))))
        # A suite may fail as a whole although each case passed.
        if not self.ok and not total[1]:
            total = (total[0], 1, total[2])
        return total


def parse(lines):
    """Return (top node, complaints, diagnostics of failures)."""
    pending = [Node('top')]         # one open parent per depth
    problems, context, failures = [], [], []
    for line in lines:
        plan, result = PLAN.match(line), RESULT.match(line)
        if plan or result:
            depth = len((plan or result).group(1)) // 4
            while len(pending) <= depth:
                pending.append(Node(None))
        if plan:
            pending[depth].plan = int(plan.group(2)) + (pending[depth].plan or 0)
        elif result:
            # Everything nested deeper since the last result is this one's.
            if len(pending) > depth + 2:
                problems.append(f'results below {result.group(4)} have no parent')
            node = pending[depth + 1] if len(pending) > depth + 1 else Node(None)
            del pending[depth + 1:]
            node.name = result.group(4)
            node.ok = not result.group(2)
            node.skip = result.group(5) == 'SKIP'
            if node.plan is not None and node.plan != len(node.children) and node.ok:
                problems.append(f'{node.name}: {len(node.children)} results of {node.plan} planned')
            pending[depth].children.append(node)
            if not node.ok:
                if not any(not c.ok for c in node.children):
                    failures.append((node.name, context[-20:]))
            context = []
        else:
            context.append(line)
    top = pending[0]
    if len(pending) > 1:
        problems.append('the log ends in the middle of a suite')
    if top.plan is None:
        problems.append('no KTAP plan: the kernel did not reach the tests')
    elif top.plan != len(top.children):
        problems.append(f'{len(top.children)} suites of {top.plan} planned')
    return top, problems, failures


def main():
    arg = argparse.ArgumentParser(description=__doc__)
    arg.add_argument('log')
    arg.add_argument('--name', default='', help='of the run, for messages')
    arg.add_argument('--expect', nargs='*', default=[], help='suites that must have run')
    arg.add_argument('--said', action='append', default=[],
                     help='a message that must be there once, and counts as a test case')
    arg.add_argument('--allow', help='a report by the checkers that is no failure (regular expression)')
    arg.add_argument('--counts', help='file that gets "passed failed skipped"')
    arg.add_argument('--no-tests', action='store_true', help='only look for reports')
    opt = arg.parse_args()

    with open(opt.log, errors='replace') as log:
        lines = [PREFIX.sub('', line.rstrip('\r\n')) for line in log]
    passed = failed = skipped = 0
    problems = []
    if not opt.no_tests:
        top, problems, failures = parse(lines)
        for suite in top.children:
            p, f, s = suite.leaves()
            passed, failed, skipped = passed + p, failed + f, skipped + s
            print(f'  {suite.name}: {p} passed, {f} failed, {s} skipped')
        for name, context in failures:
            print(f'  FAILED {name}')
            print(''.join(f'    | {line}\n' for line in context), end='')
        ran = {suite.name for suite in top.children}
        problems += [f'suite {name} did not run' for name in opt.expect if name not in ran]
        if not passed + failed:
            problems.append('no test case ran')
    for text in opt.said:
        times = sum(text in line for line in lines)
        if times == 1:
            passed += 1
        else:
            problems.append(f'said {times} times, not once: {text}')
    for number, line in enumerate(lines):
        if SPLAT.search(line) and not (opt.allow and re.search(opt.allow, line)):
            problems.append(f'line {number + 1}: {line.strip()}')
    for problem in problems[:20]:
        print(f'  PROBLEM {problem}')
    failed += len(problems)
    print(f'{opt.name + ": " if opt.name else ""}{passed} passed, {failed} failed, {skipped} skipped')
    if opt.counts:
        with open(opt.counts, 'w') as out:
            print(passed, failed, skipped, file=out)
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
