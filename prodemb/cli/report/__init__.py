"""What the commands show: each module turns the data of one subject into lines and tables for people."""
