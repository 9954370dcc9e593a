#!/bin/sh
# Four mutants of the code that makes files durable: the tests have to see each (tests/long/mutants.sh).
exec sh tests/long/mutants.sh 4
