# /var and /run are gone after a reboot of OpenWrt: what is kept lies below /srv, on the overlay.
s#"/var/lib/vedette-models"#"/srv/vedette/models"#
s#"/var/lib/vedette#"/srv/vedette/state#
s#"/run/vedette"#"/var/run/vedette"#
