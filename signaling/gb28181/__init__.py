"""GB/T 28181-2016 and -2022: identifiers, MANSCDP and MANSRTSP bodies, PTZ, catalogs, registration. No sockets."""
